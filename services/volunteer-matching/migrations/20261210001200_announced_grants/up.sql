-- Grants of which identity has told, of every role: whoever an organisation registers by hand holds one where it works, and is known by
-- its pseudonym. One that ended stays known. Grants told of before this table was there are found by the volunteers who stand on them.
CREATE TABLE announced_grants (
    grant_id   uuid PRIMARY KEY,
    person_id  uuid    NOT NULL,
    person_ref text    NOT NULL,
    unit_id    uuid,
    org_id     uuid,
    ended      boolean NOT NULL
);
CREATE INDEX announced_grants_live ON announced_grants (person_id) WHERE NOT ended;
