ALTER TABLE units DROP COLUMN successor_id;
