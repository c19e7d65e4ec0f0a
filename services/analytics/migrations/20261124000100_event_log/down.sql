DROP TABLE consumption;
DROP TABLE event_log;
