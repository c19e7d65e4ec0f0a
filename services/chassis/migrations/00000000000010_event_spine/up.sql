-- The event spine of one service: what it has to send, what it has already taken in, what it could not handle,
-- what it has answered, and who holds which lease. All times here are the database's real time.

CREATE TABLE outbox (
    seq               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                uuid        NOT NULL,
    type              text        NOT NULL,
    subject           text        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    partition_key     uuid        NOT NULL,
    aggregate_version bigint      NOT NULL,
    unit_id           uuid,
    line              text,
    correlation_id    uuid        NOT NULL,
    causation_id      uuid,
    actor_ref         text,
    traceparent       text,
    data              bytea       NOT NULL
);
-- A queue: rows live for milliseconds. Vacuum by count, not by share of a table that is nearly empty.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
                        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_threshold = 1000000);
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTERNAL;
-- An autovacuum may find the queue empty and the planner would then believe it always is: plans here are by primary key only.

CREATE TABLE inbox (
    event_id    uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

CREATE TABLE parked_events (
    seq               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id          uuid        NOT NULL UNIQUE,
    type              text        NOT NULL,
    source            text        NOT NULL,
    subject           text        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    partition_key     uuid        NOT NULL,
    aggregate_version bigint      NOT NULL,
    unit_id           uuid,
    line              text,
    correlation_id    uuid        NOT NULL,
    causation_id      uuid,
    actor_ref         text,
    traceparent       text,
    data              bytea       NOT NULL,
    cause             text        NOT NULL,
    detail            text        NOT NULL DEFAULT '',
    attempts          integer     NOT NULL DEFAULT 0,
    parked_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    dead              boolean     NOT NULL DEFAULT false,
    skipped_at        timestamptz,
    skip_reason       text
);
CREATE INDEX parked_events_key ON parked_events (partition_key, seq) WHERE skipped_at IS NULL;

CREATE TABLE idempotency (
    caller      uuid        NOT NULL,
    method      text        NOT NULL,
    request_id  uuid        NOT NULL,
    -- Sealed: the fingerprint of the request, and the answer.
    answer      bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (request_id, caller, method)
) WITH (toast_tuple_target = 8160);
-- Sealed bytes cannot be compressed, and out of line they would cost three more rows.
ALTER TABLE idempotency ALTER COLUMN answer SET STORAGE EXTERNAL;
CREATE INDEX idempotency_created_at ON idempotency USING brin (created_at);

CREATE TABLE relay_lease (
    name       text PRIMARY KEY,
    holder     uuid        NOT NULL,
    epoch      bigint      NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
);

CREATE TABLE consumer_lease (
    consumer_group smallint PRIMARY KEY,
    holder         uuid        NOT NULL,
    expires_at     timestamptz NOT NULL
);

CREATE TABLE consumer_member (
    holder     uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE TABLE domain_clock (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    offset_micros bigint NOT NULL DEFAULT 0 CHECK (offset_micros >= 0)
);
INSERT INTO domain_clock DEFAULT VALUES;
