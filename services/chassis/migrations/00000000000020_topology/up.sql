-- The service's own copy of the reference data that identity owns, fed by its events, and the list of barred tokens.

CREATE TABLE topology_units (
    id          uuid PRIMARY KEY,
    code        text        NOT NULL,
    code_system text        NOT NULL,
    code_year   integer     NOT NULL,
    kind        integer     NOT NULL,
    name_zh     text        NOT NULL,
    name_en     text        NOT NULL,
    parent_id   uuid,
    state       integer     NOT NULL,
    valid_from  timestamptz,
    valid_to    timestamptz,
    version     bigint      NOT NULL
);

CREATE TABLE topology_orgs (
    id         uuid PRIMARY KEY,
    code       text        NOT NULL,
    kind       integer     NOT NULL,
    name_zh    text        NOT NULL,
    name_en    text        NOT NULL,
    unit_id    uuid        NOT NULL,
    line       text,
    valid_from timestamptz,
    valid_to   timestamptz,
    version    bigint      NOT NULL
);

CREATE TABLE topology_edges (
    id          uuid PRIMARY KEY,
    from_org_id uuid        NOT NULL,
    to_org_id   uuid        NOT NULL,
    kind        integer     NOT NULL,
    line        text,
    valid_from  timestamptz,
    valid_to    timestamptz,
    version     bigint      NOT NULL
);

-- Barred sessions (until their last token has run out) and persons (tokens issued before an instant). Real time.
CREATE TABLE revocations (
    kind       text        NOT NULL CHECK (kind IN ('session', 'person')),
    id         uuid        NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Counts changes of the four tables above, so that other replicas notice them; and whether identity's snapshot is in:
-- events alone, however many, say nothing of what was there before them.
CREATE TABLE topology_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 0,
    snapshot boolean NOT NULL DEFAULT false
);
INSERT INTO topology_version DEFAULT VALUES;
