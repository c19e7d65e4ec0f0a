DROP TABLE working_hours_moves;
ALTER TABLE benefits DROP COLUMN calendar_version;
ALTER TABLE mediations DROP COLUMN calendar_version;
