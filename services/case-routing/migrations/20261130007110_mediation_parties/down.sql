ALTER TABLE mediations DROP COLUMN party_ids;
