ALTER TABLE tasks DROP COLUMN lack_told;
