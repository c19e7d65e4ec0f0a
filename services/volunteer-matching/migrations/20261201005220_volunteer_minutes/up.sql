-- Minutes of each volunteer's locked records: a ranking would add up every hour ever served otherwise. Kept by a trigger, because
-- replicas of the build before lock records, too, while a rollout replaces them; in a table of its own, because they have
-- statements prepared for whole rows of `volunteers`, which a new column would make fail.
CREATE TABLE volunteer_minutes (
    volunteer_id uuid   PRIMARY KEY REFERENCES volunteers,
    minutes      bigint NOT NULL
);

CREATE FUNCTION count_locked_minutes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state = 'locked' THEN
        UPDATE volunteer_minutes AS m SET minutes = m.minutes - OLD.minutes WHERE m.volunteer_id = OLD.volunteer_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state = 'locked' AND NEW.volunteer_id IS NOT NULL THEN
        INSERT INTO volunteer_minutes AS m (volunteer_id, minutes) VALUES (NEW.volunteer_id, NEW.minutes)
        ON CONFLICT (volunteer_id) DO UPDATE SET minutes = m.minutes + excluded.minutes;
    END IF;
    RETURN NULL;
END
$$;
-- It keeps others from writing records until what was locked before is added up.
CREATE TRIGGER count_locked_minutes AFTER INSERT OR UPDATE OR DELETE ON service_records
    FOR EACH ROW EXECUTE FUNCTION count_locked_minutes();

INSERT INTO volunteer_minutes (volunteer_id, minutes)
SELECT volunteer_id, sum(minutes) FROM service_records
WHERE state = 'locked' AND volunteer_id IS NOT NULL
GROUP BY volunteer_id;
