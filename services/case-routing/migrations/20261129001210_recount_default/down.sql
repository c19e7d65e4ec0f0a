ALTER TABLE benefits ALTER COLUMN calendar_version DROP DEFAULT;
