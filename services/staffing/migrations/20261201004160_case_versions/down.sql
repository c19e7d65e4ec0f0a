ALTER TABLE tasks DROP COLUMN case_version;
