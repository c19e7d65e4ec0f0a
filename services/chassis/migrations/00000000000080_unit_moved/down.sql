ALTER TABLE topology_units DROP COLUMN moved;
