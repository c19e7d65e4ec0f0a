-- Who looked at what, why, and what was answered: append-only, each row bound to the one before by a keyed hash.

CREATE TABLE audit_entries (
    seq         bigint PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor_ref   text        NOT NULL,
    role        smallint    NOT NULL,
    purpose     text        NOT NULL,
    action      text        NOT NULL,
    object_kind text        NOT NULL,
    object_id   uuid,
    reason_code text        NOT NULL,
    decision    text        NOT NULL CHECK (decision IN ('allow', 'deny')),
    prev_hash   bytea       NOT NULL,
    hash        bytea       NOT NULL
);

CREATE FUNCTION audit_entries_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are append-only';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_are_append_only();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_are_append_only();
