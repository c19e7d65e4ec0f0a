DROP INDEX role_grants_requested;
ALTER TABLE accounts DROP COLUMN password_known_to;
