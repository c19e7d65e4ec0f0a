-- Who is asked for something without having a task (`agenda.asked_org_ids`), looked up by organisation: once deadlines have passed,
-- every one of those cases asks whoever received it, and these are as many as are overdue. Kept by a trigger, because replicas of
-- the build before write the agenda, too, while a rollout replaces them.
--
-- The two indexes by which those lists were looked up before go first, by the strongest of the locks that this takes.
DROP INDEX agenda_asked;
DROP INDEX agenda_asked_running;

CREATE TABLE asked (
    org_id         uuid NOT NULL,
    case_id        uuid NOT NULL,
    running_due_at timestamptz,
    PRIMARY KEY (org_id, case_id)
);
CREATE INDEX asked_running ON asked (org_id, running_due_at, case_id) WHERE running_due_at IS NOT NULL;

CREATE FUNCTION keep_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM asked WHERE org_id = ANY (OLD.asked_org_ids) AND case_id = OLD.case_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO asked (org_id, case_id, running_due_at)
        SELECT DISTINCT org, NEW.case_id, NEW.running_due_at FROM unnest(NEW.asked_org_ids) AS org;
    END IF;
    RETURN NULL;
END
$$;
-- Three, because most changes of the agenda ask nobody, and are not to call anything.
CREATE TRIGGER keep_asked_of_new AFTER INSERT ON agenda
    FOR EACH ROW WHEN (NEW.asked_org_ids <> '{}') EXECUTE FUNCTION keep_asked();
CREATE TRIGGER keep_asked AFTER UPDATE ON agenda
    FOR EACH ROW WHEN ((OLD.asked_org_ids <> '{}' OR NEW.asked_org_ids <> '{}')
        AND (OLD.asked_org_ids <> NEW.asked_org_ids OR OLD.running_due_at IS DISTINCT FROM NEW.running_due_at))
    EXECUTE FUNCTION keep_asked();
CREATE TRIGGER keep_asked_of_gone AFTER DELETE ON agenda
    FOR EACH ROW WHEN (OLD.asked_org_ids <> '{}') EXECUTE FUNCTION keep_asked();

-- The triggers keep others from writing the agenda until what stands in it is here.
INSERT INTO asked (org_id, case_id, running_due_at)
SELECT DISTINCT org, a.case_id, a.running_due_at
FROM agenda AS a, unnest(a.asked_org_ids) AS org
WHERE a.asked_org_ids <> '{}';
