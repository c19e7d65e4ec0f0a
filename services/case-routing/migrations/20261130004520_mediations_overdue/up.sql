-- Since when something is waited for in vain in a mediation; computed by the domain with each change.
ALTER TABLE mediations ADD COLUMN overdue_since timestamptz;
CREATE INDEX mediations_overdue ON mediations (overdue_since, mediation_id) WHERE overdue_since IS NOT NULL;

-- What went by before this was kept, but for the days of an agreement before the one in effect. Cases are moved, and people
-- reminded, by what goes by from now on.
UPDATE mediations AS m SET overdue_since = missed.since
FROM (
    SELECT o.mediation_id, min((day ->> 'due_at')::timestamptz) AS since
    FROM mediations o, jsonb_array_elements(o.doc::jsonb -> 'deadlines') AS day
    WHERE o.state NOT IN ('performed', 'told_of_court', 'refused', 'told_of_channels', 'terminated_by_party')
      AND day ->> 'kind' <> 'request_confirmation' AND day ->> 'passed_at' IS NOT NULL AND day ->> 'met_at' IS NULL
      AND (day ->> 'started_at')::timestamptz
          >= coalesce((o.doc::jsonb -> 'agreement' ->> 'effective_at')::timestamptz, '-infinity')
    GROUP BY o.mediation_id
) AS missed
WHERE m.mediation_id = missed.mediation_id;

-- Agreements without a day, which nothing would ever remind anybody of: the sweeper gives them one.
UPDATE mediations SET due_at = to_timestamp(0)
WHERE state = 'effective' AND due_at IS NULL AND doc NOT LIKE '%"kind":"performance"%';
