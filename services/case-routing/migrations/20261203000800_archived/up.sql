-- The archived cases: the oldest of all, so that a list of them would first read past years of others. Apart from `cases`, whose
-- indexes contain no column that most commands change; kept by a trigger, because replicas of the build before archive, too, while a
-- rollout replaces them. An archived case stays one.
CREATE TABLE archived (
    case_id uuid PRIMARY KEY
);

CREATE FUNCTION keep_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO archived (case_id) VALUES (NEW.case_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_archived_of_new AFTER INSERT ON cases
    FOR EACH ROW WHEN (NEW.state = 'archived') EXECUTE FUNCTION keep_archived();
CREATE TRIGGER keep_archived AFTER UPDATE OF state ON cases
    FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived') EXECUTE FUNCTION keep_archived();

-- The triggers keep others from writing cases until those that are archived already are here.
INSERT INTO archived (case_id) SELECT case_id FROM cases WHERE state = 'archived';
