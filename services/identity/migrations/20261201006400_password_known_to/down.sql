DROP TRIGGER keep_known_to ON accounts;
DROP FUNCTION keep_known_to();
DROP INDEX role_grants_requested;
ALTER TABLE accounts DROP COLUMN password_known_to;
