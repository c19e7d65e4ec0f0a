-- Imports of other systems' cases, batch by batch: their numbers, and whose words are still to be noted in `case_words`,
-- which is done behind the load.
CREATE TABLE import_batches (
    batch_id        uuid        PRIMARY KEY,
    import_id       uuid        NOT NULL,
    source          text        NOT NULL,
    imported        integer     NOT NULL,
    duplicates      integer     NOT NULL,
    problems        integer     NOT NULL,
    -- Real time.
    imported_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Empty once the words are noted.
    unindexed       uuid[]      NOT NULL,
    unindexed_count integer     NOT NULL
);
CREATE INDEX import_batches_import ON import_batches (import_id);
-- An item in the whole district; changes when `line` does, which has its index already.
CREATE INDEX cases_item ON cases (item_code, case_id) WHERE item_code IS NOT NULL;
CREATE INDEX import_batches_unindexed ON import_batches (batch_id) WHERE unindexed_count > 0;
