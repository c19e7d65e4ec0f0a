ALTER TABLE catalogue_state ALTER COLUMN catalogue_version DROP DEFAULT;
