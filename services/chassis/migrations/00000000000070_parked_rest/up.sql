-- Parked events behind another of their key rest until that is gone: they are due at an instant that never comes, so that nobody
-- looks through them. By a trigger what is gone makes the next one due, because replicas of the build before let events go, too,
-- while a rollout replaces them, and after one that is taken back. The next one may be skipped by somebody else just then: whoever
-- waits for that looks again.
CREATE INDEX parked_events_due ON parked_events (next_attempt_at, seq) WHERE NOT dead AND skipped_at IS NULL;

CREATE FUNCTION parked_next_is_due() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    LOOP
        SELECT seq INTO head FROM parked_events WHERE partition_key = OLD.partition_key AND skipped_at IS NULL
        ORDER BY seq LIMIT 1;
        UPDATE parked_events SET next_attempt_at = clock_timestamp()
        WHERE seq = head AND skipped_at IS NULL AND NOT dead AND next_attempt_at = '9999-12-31 00:00:00+00';
        EXIT WHEN FOUND OR head IS NULL OR EXISTS (SELECT FROM parked_events WHERE seq = head AND skipped_at IS NULL);
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER parked_next_of_handled AFTER DELETE ON parked_events
    FOR EACH ROW WHEN (OLD.skipped_at IS NULL) EXECUTE FUNCTION parked_next_is_due();
CREATE TRIGGER parked_next_of_skipped AFTER UPDATE OF skipped_at ON parked_events
    FOR EACH ROW WHEN (OLD.skipped_at IS NULL AND NEW.skipped_at IS NOT NULL) EXECUTE FUNCTION parked_next_is_due();
