-- The yearly notices that were imported, as they were signed. Only ever appended to: the highest version of a year is in
-- force, and the number of rows raises the version of the calendar. Replicas poll the highest seq.
CREATE TABLE calendar_notices (
    seq         bigint      PRIMARY KEY,
    title_year  integer     NOT NULL,
    version     integer     NOT NULL,
    -- TOML, and the base64 of its signature.
    notice      text        NOT NULL,
    signature   text        NOT NULL,
    -- The key that was trusted when it was imported.
    signed_by   text        NOT NULL,
    imported_at timestamptz NOT NULL,
    -- Pseudonym.
    imported_by text        NOT NULL,
    CONSTRAINT calendar_notices_once UNIQUE (title_year, version)
);
