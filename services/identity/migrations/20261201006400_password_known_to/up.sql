-- Who could learn the password that somebody else chose: the chooser, and whoever could sign in as the chooser then. Kept beside
-- password_set_by, for a chooser who changes the own password later takes back nothing that was learnt before.
ALTER TABLE accounts ADD COLUMN password_known_to uuid[] NOT NULL DEFAULT '{}';
WITH RECURSIVE known (owner_id, person_id) AS (
    SELECT person_id, password_set_by FROM accounts WHERE password_set_by IS NOT NULL
     UNION
    SELECT k.owner_id, a.password_set_by
      FROM known k JOIN accounts a ON a.person_id = k.person_id
     WHERE a.password_set_by IS NOT NULL
)
UPDATE accounts
   SET password_known_to = ARRAY(SELECT k.person_id FROM known k WHERE k.owner_id = accounts.person_id)
 WHERE password_set_by IS NOT NULL;
-- Those that wait, by who asked: there are few.
CREATE INDEX role_grants_requested ON role_grants (grant_id) WHERE state = 1;
