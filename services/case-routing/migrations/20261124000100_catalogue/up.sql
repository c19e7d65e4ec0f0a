-- The catalogue of service items, the responsibility list and the limits; filled from the shipped seed when empty.

-- A version of the catalogue: the items that it has otherwise than the catalogue before it.
CREATE TABLE catalogue_versions (
    catalogue_version integer     PRIMARY KEY,
    item_count        integer     NOT NULL,
    -- How often versions had been put in force or taken back when it was imported.
    moves             integer     NOT NULL,
    reason_code       text        NOT NULL,
    -- Pseudonyms. Who imported a version never puts it in force.
    drafted_by        text        NOT NULL,
    drafted_at        timestamptz NOT NULL,
    approved_by       text        CHECK (approved_by <> drafted_by OR approved_by = 'system'),
    approved_at       timestamptz,
    -- Unset: a draft.
    valid_from        timestamptz CHECK ((valid_from IS NULL) = (approved_at IS NULL)),
    withdrawn_by      text,
    withdrawn_at      timestamptz,
    withdrawn_reason  text
);

CREATE TABLE service_items (
    item_code         text    NOT NULL,
    version           integer NOT NULL,
    catalogue_version integer NOT NULL REFERENCES catalogue_versions,
    -- The version of the item that it was compared with; unset: the item is new.
    base_version      integer,
    -- As in seed/catalogue.toml; unset: no new cases are of the item from then on.
    content           jsonb,
    PRIMARY KEY (item_code, version)
);

-- A version of the responsibility list: a set of entries that never changes. Where it stands follows from its periods.
CREATE TABLE list_versions (
    list_version     integer     PRIMARY KEY,
    base_version     integer     REFERENCES list_versions,
    -- Made because a duty came or went, in place of its base: no step of its own to go back to.
    amends           boolean     NOT NULL DEFAULT false,
    entry_count      integer     NOT NULL,
    reason_code      text        NOT NULL,
    -- Pseudonyms. Who drafted a version never puts it in force.
    drafted_by       text        NOT NULL,
    drafted_at       timestamptz NOT NULL,
    approved_by      text        CHECK (approved_by <> drafted_by OR approved_by = 'system'),
    approved_at      timestamptz,
    withdrawn_by     text,
    withdrawn_at     timestamptz,
    withdrawn_reason text
);

CREATE TABLE responsibility_entries (
    list_version integer NOT NULL REFERENCES list_versions,
    rule_id      text    COLLATE "C" NOT NULL,
    item_code    text    NOT NULL,
    valid_from   date    NOT NULL,
    valid_to     date,
    -- As in seed/responsibility.toml.
    content      jsonb   NOT NULL,
    PRIMARY KEY (list_version, rule_id)
);

-- Where and when a version is in force; numbered in the order they were made, and ended, never removed.
CREATE TABLE list_periods (
    seq          integer     PRIMARY KEY,
    list_version integer     NOT NULL REFERENCES list_versions,
    -- The unit of a canary; unset: everywhere.
    unit_id      uuid,
    valid_from   timestamptz NOT NULL,
    valid_to     timestamptz CHECK (valid_to >= valid_from)
);

CREATE TABLE sla_profiles (
    code    text  PRIMARY KEY,
    content jsonb NOT NULL
);

-- One row. The revision grows with each change of these tables; replicas poll it.
CREATE TABLE catalogue_state (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision          bigint  NOT NULL,
    -- Of the catalogue that was shipped; decisions cite it before the list. An item is cited by its own version.
    catalogue_version integer NOT NULL,
    -- Code of the organisation that takes what nobody is competent for.
    fallback_org      text    NOT NULL
);
