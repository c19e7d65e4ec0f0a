-- Units, organisations and authority edges: the reference data every other service keeps a copy of.
-- Times are domain time. Kinds and states are the numbers of jianghan.identity.v1.

CREATE EXTENSION IF NOT EXISTS btree_gist;

-- The present of every unit that ever was.
CREATE TABLE units (
    unit_id     uuid PRIMARY KEY,
    code        text        NOT NULL,
    code_system text        NOT NULL,
    code_year   integer     NOT NULL,
    kind        smallint    NOT NULL CHECK (kind BETWEEN 1 AND 6),
    name_zh     text        NOT NULL,
    name_en     text        NOT NULL,
    parent_id   uuid REFERENCES units,
    -- root → this unit; kept by the store whenever a parent changes
    path        uuid[]      NOT NULL CHECK (path[array_upper(path, 1)] = unit_id),
    state       smallint    NOT NULL CHECK (state BETWEEN 1 AND 5),
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    version     bigint      NOT NULL CHECK (version > 0),
    CHECK (valid_to IS NULL OR valid_to >= valid_from),
    CHECK (parent_id IS DISTINCT FROM unit_id)
);
CREATE UNIQUE INDEX units_code_in_force ON units (code) WHERE state IN (1, 2);
CREATE INDEX units_parent ON units (parent_id);
CREATE INDEX units_path ON units USING gin (path);

-- What held when: the tree of any past day can be read from here (I-8). One parent at any instant (I-1).
CREATE TABLE unit_history (
    unit_id   uuid        NOT NULL REFERENCES units,
    version   bigint      NOT NULL,
    code      text        NOT NULL,
    code_system text      NOT NULL,
    code_year integer     NOT NULL,
    kind      smallint    NOT NULL,
    name_zh   text        NOT NULL,
    name_en   text        NOT NULL,
    parent_id uuid,
    state     smallint    NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to  timestamptz,
    during    tstzrange   NOT NULL,
    PRIMARY KEY (unit_id, version),
    EXCLUDE USING gist (unit_id WITH =, during WITH &&)
);
CREATE INDEX unit_history_code ON unit_history (code, unit_id);

CREATE TABLE unit_lineage (
    from_unit_id uuid        NOT NULL REFERENCES units,
    to_unit_id   uuid        NOT NULL REFERENCES units,
    kind         text        NOT NULL CHECK (kind IN ('merge', 'split', 'rename', 'recode')),
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (from_unit_id, to_unit_id, kind, effective_at)
);

CREATE TABLE organizations (
    org_id     uuid PRIMARY KEY,
    code       text        NOT NULL,
    kind       smallint    NOT NULL CHECK (kind BETWEEN 1 AND 12),
    name_zh    text        NOT NULL,
    name_en    text        NOT NULL,
    unit_id    uuid        NOT NULL REFERENCES units,
    line       text,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz,
    version    bigint      NOT NULL CHECK (version > 0),
    CHECK (valid_to IS NULL OR valid_to >= valid_from),
    UNIQUE (org_id, kind)
);
CREATE UNIQUE INDEX organizations_code_in_force ON organizations (code) WHERE valid_to IS NULL;
CREATE INDEX organizations_unit ON organizations (unit_id);

-- Kinds stand beside the ids so that the database itself refuses what invariant A-1 forbids: `leads` (1) never ends
-- at a committee (5), social organisation (8) or self-governance group (9).
CREATE TABLE authority_edges (
    edge_id     uuid PRIMARY KEY,
    from_org_id uuid        NOT NULL,
    from_kind   smallint    NOT NULL,
    to_org_id   uuid        NOT NULL,
    to_kind     smallint    NOT NULL,
    kind        smallint    NOT NULL CHECK (kind BETWEEN 1 AND 5),
    line        text,
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    version     bigint      NOT NULL CHECK (version > 0),
    FOREIGN KEY (from_org_id, from_kind) REFERENCES organizations (org_id, kind),
    FOREIGN KEY (to_org_id, to_kind) REFERENCES organizations (org_id, kind),
    CHECK (from_org_id <> to_org_id),
    CHECK (valid_to IS NULL OR valid_to >= valid_from),
    CONSTRAINT invariant_a1 CHECK (kind <> 1 OR to_kind NOT IN (5, 8, 9))
);
-- One kind between two organisations on a line: the kind fixes the dispatch mode.
CREATE UNIQUE INDEX authority_edges_in_force
    ON authority_edges (from_org_id, to_org_id, coalesce(line, '')) WHERE valid_to IS NULL;
CREATE INDEX authority_edges_to ON authority_edges (to_org_id);
