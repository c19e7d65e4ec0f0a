-- The archived cases: the oldest of all, so that a list of them would first read past years of others; also of one street, and of one
-- line. Apart from `cases`, whose indexes contain no column that most commands change; kept by a trigger, so that it holds whoever
-- writes cases, imports included. An archived case stays one, where it is and with the item that it has. Those that are archived
-- already come in the next migration.
CREATE TABLE archived (
    case_id   uuid PRIMARY KEY,
    street_id uuid,
    line      text
);
CREATE INDEX archived_street ON archived (street_id, case_id);
CREATE INDEX archived_line ON archived (line, case_id) WHERE line IS NOT NULL;

CREATE FUNCTION keep_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO archived (case_id, street_id, line) VALUES (NEW.case_id, NEW.street_id, NEW.line)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_archived_of_new AFTER INSERT ON cases
    FOR EACH ROW WHEN (NEW.state = 'archived') EXECUTE FUNCTION keep_archived();
CREATE TRIGGER keep_archived AFTER UPDATE OF state ON cases
    FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived') EXECUTE FUNCTION keep_archived();
