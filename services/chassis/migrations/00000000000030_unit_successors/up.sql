-- The unit that one was merged into.
ALTER TABLE topology_units ADD COLUMN successor_id uuid;
