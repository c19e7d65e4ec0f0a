ALTER TABLE topology_version DROP COLUMN tree_version, DROP COLUMN tree_before, DROP COLUMN counted;
