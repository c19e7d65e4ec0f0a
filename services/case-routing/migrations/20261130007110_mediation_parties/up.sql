-- The registered persons who are parties: each finds the mediation, whoever's request its case is. Replicas of earlier builds, which
-- name none, still write rows during a rolling upgrade; those get them at their next change.
ALTER TABLE mediations ADD COLUMN party_ids uuid[] NOT NULL DEFAULT '{}';
UPDATE mediations AS m SET party_ids = known.persons
FROM (
    SELECT mediation_id, array_agg((party ->> 'person')::uuid) AS persons
    FROM mediations, jsonb_array_elements(doc::jsonb -> 'parties') AS party
    WHERE party ->> 'person' IS NOT NULL
    GROUP BY mediation_id
) AS known
WHERE m.mediation_id = known.mediation_id;
CREATE INDEX mediations_parties ON mediations USING gin (party_ids);
