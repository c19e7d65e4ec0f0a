-- The catalogue of service items, the responsibility list and the limits; filled from the shipped seed when empty.

CREATE TABLE service_items (
    item_code  text    NOT NULL,
    version    integer NOT NULL,
    valid_from date    NOT NULL,
    -- As in seed/catalogue.toml.
    content    jsonb   NOT NULL,
    PRIMARY KEY (item_code, version)
);

CREATE TABLE responsibility_entries (
    rule_id      text    NOT NULL,
    list_version integer NOT NULL,
    valid_from   date    NOT NULL,
    valid_to     date,
    -- As in seed/responsibility.toml.
    content      jsonb   NOT NULL,
    PRIMARY KEY (rule_id, list_version)
);

CREATE TABLE sla_profiles (
    code    text  PRIMARY KEY,
    content jsonb NOT NULL
);

-- One row. The revision grows with each change of the three tables; replicas poll it.
CREATE TABLE catalogue_state (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision          bigint  NOT NULL,
    catalogue_version integer NOT NULL,
    list_version      integer NOT NULL,
    -- Code of the organisation that takes what nobody is competent for.
    fallback_org      text    NOT NULL
);
