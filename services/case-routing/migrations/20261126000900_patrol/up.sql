-- Grid patrol: registers of grids and components, patrols, findings. Rows of a register hold from their first day on; a code's
-- rows never overlap.
CREATE TABLE grids (
    grid_code  text NOT NULL,
    -- The community it belongs to.
    unit_id    uuid NOT NULL,
    name       text NOT NULL,
    valid_from date NOT NULL,
    -- Exclusive.
    valid_to   date CHECK (valid_to > valid_from),
    PRIMARY KEY (grid_code, valid_from)
);
CREATE INDEX grids_unit ON grids (unit_id, grid_code);

CREATE TABLE components (
    component_code text NOT NULL,
    class_code     text NOT NULL,
    subclass_code  text NOT NULL,
    name           text NOT NULL,
    grid_code      text NOT NULL,
    -- The community of its grid.
    unit_id        uuid NOT NULL,
    longitude      double precision,
    latitude       double precision,
    owner_org_id   uuid NOT NULL,
    state          text NOT NULL CHECK (state IN ('in_use', 'damaged', 'missing', 'removed')),
    valid_from     date NOT NULL,
    valid_to       date CHECK (valid_to > valid_from),
    PRIMARY KEY (component_code, valid_from),
    CHECK ((longitude IS NULL) = (latitude IS NULL))
);
CREATE INDEX components_grid ON components (grid_code, component_code);

-- The latest case of a matter at a component that began on patrol; while it is open, the matter opens no other.
CREATE TABLE component_cases (
    component_code text NOT NULL,
    item_code      text NOT NULL,
    case_id        uuid NOT NULL,
    PRIMARY KEY (component_code, item_code)
);

-- Who walked which grid, and when; not where they went.
CREATE TABLE patrols (
    patrol_id       uuid        PRIMARY KEY,
    grid_code       text        NOT NULL,
    unit_id         uuid        NOT NULL,
    -- Root → the community.
    place_path      uuid[]      NOT NULL,
    person_id       uuid        NOT NULL,
    org_id          uuid        NOT NULL,
    walking         boolean     NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    last_found_at   timestamptz,
    forgotten       boolean     NOT NULL,
    finding_count   integer     NOT NULL,
    solved_count    integer     NOT NULL,
    duplicate_count integer     NOT NULL,
    -- Index of the person and a reference of their own.
    client_key      bytea       CONSTRAINT patrols_client UNIQUE,
    CHECK (walking = (ended_at IS NULL))
);
CREATE UNIQUE INDEX patrols_walking ON patrols (person_id) WHERE walking;
CREATE INDEX patrols_unit ON patrols (unit_id, started_at);

CREATE TABLE findings (
    finding_id     uuid        PRIMARY KEY,
    patrol_id      uuid        NOT NULL REFERENCES patrols,
    item_code      text        NOT NULL,
    component_code text,
    outcome        text        NOT NULL CHECK (outcome IN ('case', 'solved', 'duplicate')),
    -- The case that was opened, or the one it repeats.
    case_id        uuid        NOT NULL,
    place_unit_id  uuid        NOT NULL,
    longitude      double precision,
    latitude       double precision,
    before_refs    text[]      NOT NULL,
    after_refs     text[]      NOT NULL,
    found_at       timestamptz NOT NULL,
    client_key     bytea       CONSTRAINT findings_client UNIQUE
);
CREATE INDEX findings_patrol ON findings (patrol_id, finding_id);
