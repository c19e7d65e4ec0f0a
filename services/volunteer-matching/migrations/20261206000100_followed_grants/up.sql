-- Replicas from before `volunteer_grants` write only the grant that somebody stands on. It is kept here for them, and the one before,
-- whose end they do not tell, is not counted on any more. Whoever knows the table writes it first.
CREATE FUNCTION follow_volunteer_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO volunteer_grants (grant_id, org_id, person_id, home_unit_id, ended)
    VALUES (NEW.grant_id, NEW.org_id, NEW.person_id, NEW.home_unit_id, false)
    ON CONFLICT DO NOTHING;
    IF FOUND AND TG_OP = 'UPDATE' THEN
        DELETE FROM volunteer_grants WHERE grant_id = OLD.grant_id AND grant_id <> NEW.grant_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER follow_volunteer_grant AFTER INSERT OR UPDATE OF grant_id ON volunteers
    FOR EACH ROW WHEN (NEW.grant_id IS NOT NULL) EXECUTE FUNCTION follow_volunteer_grant();
