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
-- Those that wait: there are few, so whoever asked is looked for among all of them.
CREATE INDEX role_grants_requested ON role_grants (grant_id) WHERE state = 1;

-- By a trigger, too: replicas of the build before set password_set_by alone, while a rollout replaces them. It only ever adds.
CREATE FUNCTION keep_known_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.password_known_to := ARRAY(
        SELECT unnest(NEW.password_known_to)
         UNION
        SELECT NEW.password_set_by
         UNION
        SELECT unnest(c.password_known_to || c.password_set_by)
          FROM accounts AS c
         WHERE c.person_id = NEW.password_set_by AND c.password_set_by IS NOT NULL);
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_known_to BEFORE INSERT OR UPDATE OF password_set_by ON accounts
    FOR EACH ROW WHEN (NEW.password_set_by IS NOT NULL) EXECUTE FUNCTION keep_known_to();
