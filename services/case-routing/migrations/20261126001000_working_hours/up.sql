-- The orders about working hours and closures of units that were imported, as they were signed. Only ever appended to: of a
-- unit the newest order that states hours, and the newest one that names a closure, are in force; the highest seq raises the
-- version that clocks are counted with. Replicas poll it.
CREATE TABLE working_hours_orders (
    seq         bigint      PRIMARY KEY,
    -- The unit whose code the order names.
    unit_id     uuid        NOT NULL,
    version     integer     NOT NULL,
    -- TOML, and the base64 of its signature.
    content     text        NOT NULL,
    signature   text        NOT NULL,
    -- The key that was trusted when it was imported.
    signed_by   text        NOT NULL,
    imported_at timestamptz NOT NULL,
    -- Pseudonym.
    imported_by text        NOT NULL,
    CONSTRAINT working_hours_orders_once UNIQUE (unit_id, version)
);
