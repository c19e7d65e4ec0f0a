DROP TRIGGER append_only_truncate ON access_log;
DROP TRIGGER append_only ON access_log;
DROP FUNCTION access_log_is_append_only();
ALTER TABLE access_log DROP COLUMN decision;
