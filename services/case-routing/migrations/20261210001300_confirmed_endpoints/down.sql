ALTER TABLE external_mappings DROP COLUMN endpoint;
