ALTER TABLE consumption DROP COLUMN stock_revision;
DROP TABLE stock_rollups;
