-- The unit that one was merged into, beside it: whoever keeps a copy of the tree knows from it where what was there goes on. The
-- successor is written after those that were merged.
ALTER TABLE units ADD COLUMN successor_id uuid REFERENCES units DEFERRABLE INITIALLY DEFERRED;
UPDATE units SET successor_id = lineage.to_unit_id FROM unit_lineage AS lineage
 WHERE lineage.from_unit_id = units.unit_id AND lineage.kind = 'merge';
