ALTER TABLE offers DROP COLUMN closed_at;
