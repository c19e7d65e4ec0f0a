ALTER TABLE accounts DROP COLUMN handed_out_hash, DROP COLUMN handed_out_by;
