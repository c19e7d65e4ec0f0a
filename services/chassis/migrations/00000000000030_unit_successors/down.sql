ALTER TABLE topology_units DROP COLUMN successor_id;
