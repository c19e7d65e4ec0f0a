ALTER TABLE rollups DROP COLUMN registered_ended;
