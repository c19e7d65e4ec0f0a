-- The classifiers of the district, as their files were brought, and where people decided otherwise than they suggested.

-- Parts of model files, by the digest of the whole. Those that no version is made of are thrown away after a day.
CREATE TABLE model_parts (
    sha256 text        NOT NULL,
    part   smallint    NOT NULL,
    data   bytea       NOT NULL,
    put_at timestamptz NOT NULL,
    PRIMARY KEY (sha256, part)
);
-- Learnt weights do not compress.
ALTER TABLE model_parts ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE models (
    model_version integer     PRIMARY KEY,
    sha256        text        NOT NULL,
    size_bytes    bigint      NOT NULL,
    label_count   integer     NOT NULL,
    item_count    integer     NOT NULL,
    -- Label → item code; null: no item. Labels that are item codes themselves are left out.
    label_items   jsonb       NOT NULL,
    -- Pseudonym.
    installed_by  text        NOT NULL,
    installed_at  timestamptz NOT NULL
);

-- Which version was put in force when; the latest row holds. Only ever appended to. Replicas poll the highest seq.
CREATE TABLE model_changes (
    seq           bigint      PRIMARY KEY,
    -- Null: none.
    model_version integer     REFERENCES models,
    changed_by    text        NOT NULL,
    changed_at    timestamptz NOT NULL
);

-- What was suggested for a case that came without an item, and what a human chose. The text stands in the case.
CREATE TABLE suggestions (
    case_id       uuid        PRIMARY KEY,
    model_version integer     NOT NULL REFERENCES models,
    -- Item codes, most probable first.
    suggested     text[]      NOT NULL,
    -- Of the first.
    permille      smallint    NOT NULL,
    -- The machine triaged it by itself.
    automatic     boolean     NOT NULL,
    -- Null: no human has decided yet.
    chosen        text,
    decided_at    timestamptz NOT NULL
);
CREATE INDEX suggestions_decided ON suggestions (decided_at);
CREATE INDEX suggestions_corrections ON suggestions (case_id) WHERE chosen <> suggested[1];
