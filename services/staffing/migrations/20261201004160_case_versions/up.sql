-- The version of its case in the last event about the task that was carried out: what comes with none above it was told before.
ALTER TABLE tasks ADD COLUMN case_version bigint NOT NULL DEFAULT 0;
