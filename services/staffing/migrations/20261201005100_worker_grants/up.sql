-- Grants for work that somebody does already, as when units are merged or a grant is renewed: `workers.grant_id` is the one that a
-- worker stands on, these are the others; one that ended stays known.
CREATE TABLE worker_grants (
    grant_id     uuid PRIMARY KEY,
    -- No reference: it would hold the worker's row, which is locked after its tasks.
    worker_id    uuid    NOT NULL,
    area_unit_id uuid    NOT NULL,
    ended        boolean NOT NULL
);
CREATE INDEX worker_grants_live ON worker_grants (worker_id) WHERE NOT ended;
