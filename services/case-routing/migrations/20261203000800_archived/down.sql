DROP TRIGGER keep_archived ON cases;
DROP TRIGGER keep_archived_of_new ON cases;
DROP FUNCTION keep_archived();
DROP TABLE archived;
