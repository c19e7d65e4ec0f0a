-- Of several terms the first stays.
UPDATE role_grants AS later SET state = 3, version = version + 1
 WHERE role IN (29, 30, 31) AND state IN (1, 2)
   AND EXISTS (SELECT FROM role_grants AS earlier
                WHERE earlier.person_id = later.person_id
                  AND earlier.role IN (29, 30, 31) AND earlier.state IN (1, 2)
                  AND (earlier.valid_from, earlier.grant_id) < (later.valid_from, later.grant_id));
ALTER TABLE role_grants DROP CONSTRAINT role_grants_one_administrator;
CREATE UNIQUE INDEX role_grants_one_administrator ON role_grants (person_id)
    WHERE role IN (29, 30, 31) AND state IN (1, 2);
