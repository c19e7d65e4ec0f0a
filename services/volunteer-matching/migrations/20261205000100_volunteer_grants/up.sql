-- Grants that make somebody a volunteer of an organisation: `volunteers.grant_id` is the one they stand on, and they stay as long as
-- one of these is in force. One that ended stays known, also where it was told of only after its end.
CREATE TABLE volunteer_grants (
    grant_id     uuid PRIMARY KEY,
    -- Null: ended before anybody heard of it.
    org_id       uuid,
    person_id    uuid,
    home_unit_id uuid,
    ended        boolean NOT NULL
);
CREATE INDEX volunteer_grants_live ON volunteer_grants (person_id, org_id) WHERE NOT ended;
INSERT INTO volunteer_grants (grant_id, org_id, person_id, home_unit_id, ended)
SELECT DISTINCT ON (grant_id) grant_id, org_id, person_id, home_unit_id, state = 'left'
  FROM volunteers WHERE grant_id IS NOT NULL ORDER BY grant_id, volunteer_id;
