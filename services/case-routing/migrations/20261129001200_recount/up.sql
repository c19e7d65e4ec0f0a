-- What follows the calendar besides the clocks of cases, with the version it was counted with: a pass finds what is behind by it.

-- Lowest version that a day of the mediation which is still waited for was counted with; null where none is counted.
ALTER TABLE mediations ADD COLUMN calendar_version integer;
UPDATE mediations AS m SET calendar_version = counted.version
FROM (
    SELECT mediation_id, min((day ->> 'calendar_version')::integer) AS version
    FROM mediations, jsonb_array_elements(doc::jsonb -> 'deadlines') AS day
    WHERE day ->> 'limit' IS NOT NULL AND day ->> 'met_at' IS NULL AND day ->> 'passed_at' IS NULL
    GROUP BY mediation_id
) AS counted
WHERE m.mediation_id = counted.mediation_id;
CREATE INDEX mediations_counted ON mediations (calendar_version, case_id) WHERE calendar_version IS NOT NULL;

-- Of the review day; 0 for one that was counted before this was kept, which the first pass counts anew.
ALTER TABLE benefits ADD COLUMN calendar_version integer NOT NULL DEFAULT 0;
ALTER TABLE benefits ALTER COLUMN calendar_version DROP DEFAULT;
CREATE INDEX benefits_counted ON benefits (calendar_version, benefit_id) WHERE due_at IS NOT NULL;

-- Units that came under other working hours because they, or what they lie in, were put under another unit. Only ever appended
-- to. Each raises the version that clocks are counted with, from that version of the topology on. Replicas poll it.
CREATE TABLE working_hours_moves (
    topology_version bigint      PRIMARY KEY,
    unit_ids         uuid[]      NOT NULL,
    moved_at         timestamptz NOT NULL
);
