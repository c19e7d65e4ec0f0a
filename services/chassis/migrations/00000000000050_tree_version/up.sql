-- `version` goes on counting everything, also bars on tokens: replicas of builds before this one look at nothing else. What the
-- tree of units, organisations and edges changed with is kept apart, in the same numbers, so that what holds an earlier one stays
-- comparable with it.
-- `counted` is the last version that was counted with regard to this: what a replica of a build before counts is not told from a
-- change of the tree.
ALTER TABLE topology_version
    ADD COLUMN tree_version bigint NOT NULL DEFAULT 0,
    -- What it was before that change.
    ADD COLUMN tree_before  bigint NOT NULL DEFAULT 0,
    ADD COLUMN counted      bigint NOT NULL DEFAULT 0;
UPDATE topology_version SET tree_version = version, counted = version;
