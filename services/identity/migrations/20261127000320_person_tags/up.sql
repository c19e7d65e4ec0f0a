-- Tags of people, by the benefit that each comes from, as case-routing tells of it. What the tag says is sensitive and sealed.
-- Of one that has ended nothing is kept but that it has, so that what comes late does not bring it back.
CREATE TABLE person_tags (
    benefit_id  uuid PRIMARY KEY,
    person_id   uuid REFERENCES persons,
    code_sealed bytea,
    since       timestamptz,
    -- First instant of the day on which it is looked at again.
    review_at   timestamptz,
    ended       boolean NOT NULL,
    -- Of the benefit.
    version     bigint  NOT NULL CHECK (version > 0),
    CHECK ((person_id IS NULL) = (code_sealed IS NULL) AND (person_id IS NULL) = (since IS NULL)),
    CHECK (NOT ended OR (person_id IS NULL AND review_at IS NULL))
);
CREATE INDEX person_tags_person ON person_tags (person_id) WHERE person_id IS NOT NULL;
