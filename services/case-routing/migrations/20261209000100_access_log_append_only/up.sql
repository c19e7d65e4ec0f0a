-- Who read original texts, and who was refused them: what was written stays as it is. Replicas of the release before, which write
-- nothing of a refusal, go on without the column.
ALTER TABLE access_log ADD COLUMN decision text NOT NULL DEFAULT 'allow' CHECK (decision IN ('allow', 'deny'));

CREATE FUNCTION access_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the access log is append-only';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION access_log_is_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION access_log_is_append_only();
