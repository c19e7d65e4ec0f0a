DROP TABLE process_rollups;
ALTER TABLE case_facts DROP COLUMN process, DROP COLUMN process_version;
