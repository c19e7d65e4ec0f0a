-- I-4 keeps two different ones of system (29), security (30) and audit (31) administrator apart, not terms of
-- one: the next is granted before the present one has run out.
DROP INDEX role_grants_one_administrator;
ALTER TABLE role_grants ADD CONSTRAINT role_grants_one_administrator
    EXCLUDE USING gist (person_id WITH =, role WITH <>) WHERE (role IN (29, 30, 31) AND state IN (1, 2));
