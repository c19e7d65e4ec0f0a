-- Grants for an organisation of which identity has told, also those that make nobody a worker: whoever is put on a post by hand holds
-- one, and is known by its pseudonym. One that ended stays known. Grants told of before this table was there are found by the workers
-- who stand on them.
CREATE TABLE announced_grants (
    grant_id   uuid PRIMARY KEY,
    person_id  uuid    NOT NULL,
    person_ref text    NOT NULL,
    org_id     uuid    NOT NULL,
    ended      boolean NOT NULL
);
CREATE INDEX announced_grants_live ON announced_grants (person_id) WHERE NOT ended;
