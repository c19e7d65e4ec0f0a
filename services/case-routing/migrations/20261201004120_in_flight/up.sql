-- What was under way when its agenda came to be kept: nothing else would write these rows before the next change of the case.

-- Bad ratings of merged cases that were found valid: told of, and their requesters called, once the other case was worked on again.
INSERT INTO agenda (case_id, awaits, open, state, street_id, requester_id, org_ids, original_id)
SELECT c.case_id, 'rectification', false, c.state, c.street_id, c.requester_id,
       ARRAY(SELECT t.org_id FROM tasks t WHERE t.case_id = c.case_id UNION SELECT c.first_receiver_org_id),
       (c.doc::jsonb ->> 'merged_into')::uuid
FROM cases c
WHERE c.state = 'merged' AND c.doc::jsonb #>> '{rating,valid}' = 'true' AND c.doc::jsonb ->> 'rectified' IS NULL
ON CONFLICT (case_id) DO UPDATE SET awaits = excluded.awaits, original_id = excluded.original_id
WHERE agenda.awaits IS NULL;

-- Bad ratings that wait for their judge, who finds them by this, unless a task of theirs leads there.
UPDATE agenda AS a
SET asked_org_ids = array_append(a.asked_org_ids, rated.judge),
    org_ids = CASE WHEN rated.judge = ANY (a.org_ids) THEN a.org_ids ELSE array_append(a.org_ids, rated.judge) END
FROM (
    SELECT w.case_id, (c.doc::jsonb #>> '{rating,judge}')::uuid AS judge
    FROM agenda w JOIN cases c ON c.case_id = w.case_id
    WHERE w.awaits = 'judgement'
) AS rated
WHERE a.case_id = rated.case_id AND rated.judge IS NOT NULL AND NOT rated.judge = ANY (a.asked_org_ids)
  AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.case_id = a.case_id AND t.org_id = rated.judge);
