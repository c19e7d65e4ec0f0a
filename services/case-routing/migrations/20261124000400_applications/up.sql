-- Service applications: what each has beside its case. State and timers stand in the case; the papers say much about a
-- person and are kept as one sealed document.
CREATE TABLE applications (
    case_id uuid  PRIMARY KEY REFERENCES cases,
    sealed  bytea NOT NULL
);

-- The public copies of the notices that are shown now, with what everybody may see and nothing else. A row goes when its
-- last day is over or the notice is taken down; what has run out is read by nobody even before.
CREATE TABLE public_notices (
    notice_id   uuid        PRIMARY KEY,
    case_id     uuid        NOT NULL UNIQUE,
    -- The community or what lies nearest above it, root → leaf.
    unit_path   uuid[]      NOT NULL,
    item_code   text        NOT NULL,
    name_masked text        NOT NULL,
    first_day   date        NOT NULL,
    over_at     timestamptz NOT NULL
);
CREATE INDEX public_notices_unit ON public_notices USING gin (unit_path);
