-- Of the cases registered on a day, those that have ended by now in whichever way: the rest is open.
ALTER TABLE rollups ADD COLUMN registered_ended integer NOT NULL DEFAULT 0;

-- What was counted before is counted from the facts: each case in its own cell and in that of all lines and items. The
-- states are not_accepted, handed_off, merged, closed, archived, withdrawn.
UPDATE rollups r SET registered_ended = e.cases
FROM (
    SELECT coalesce(f.place_unit_id, '00000000-0000-0000-0000-000000000000'::uuid) AS unit_id,
           c.line,
           (f.registered_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
           c.item_code,
           count(*)::integer AS cases
    FROM case_facts f
    CROSS JOIN LATERAL (VALUES (f.line, f.item_code), ('*', '*')) AS c (line, item_code)
    WHERE f.state IN (3, 4, 5, 17, 18, 19)
    GROUP BY 1, 2, 3, 4
) e
WHERE r.unit_id = e.unit_id AND r.line = e.line AND r.day = e.day AND r.item_code = e.item_code;
