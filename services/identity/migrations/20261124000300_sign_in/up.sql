-- Signing in. All times here are real time. Tokens are stored hashed, keys sealed, passwords as argon2id.

CREATE TABLE accounts (
    login         text PRIMARY KEY CHECK (login = lower(login)),
    person_id     uuid        NOT NULL UNIQUE REFERENCES persons,
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL
);

-- Failures by keyed index of the login, kept for unknown logins too: a lock tells nobody that an account exists.
CREATE TABLE sign_in_failures (
    login_index  bytea PRIMARY KEY,
    failed       integer     NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_at);

CREATE TABLE sessions (
    session_id   uuid PRIMARY KEY,
    person_id    uuid        NOT NULL REFERENCES persons,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- when the last access token issued in it runs out
    tokens_until timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text CHECK (end_reason IN ('signed_out', 'token_reused', 'replaced', 'administrator')),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_person ON sessions (person_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    token_hash       bytea PRIMARY KEY,
    session_id       uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at        timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    used_at          timestamptz,
    -- so that a retry within the grace gets the same successor; the cleaner forgets it soon after
    successor_sealed bytea
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_successor ON refresh_tokens (used_at) WHERE successor_sealed IS NOT NULL;

CREATE TABLE signing_keys (
    key_id      text PRIMARY KEY,
    seed_sealed bytea       NOT NULL,
    public_key  bytea       NOT NULL CHECK (length(public_key) = 32),
    created_at  timestamptz NOT NULL,
    -- published since created_at, signs from here on: every replica knows it by then
    signs_from  timestamptz NOT NULL,
    -- signs until then, which may lie ahead; verifies until verify_until
    retired_at  timestamptz,
    verify_until timestamptz,
    CHECK ((retired_at IS NULL) = (verify_until IS NULL))
);
-- the latest: it signs, or is about to
CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys ((true)) WHERE retired_at IS NULL;
