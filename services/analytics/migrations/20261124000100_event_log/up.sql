-- Every event of every service, for good: facts and rollups can be made anew from it at any time. Append-only, one
-- partition per month of domain time; partitions are made ahead, and what falls between them goes to the default one.
CREATE TABLE event_log (
    seq               bigint GENERATED ALWAYS AS IDENTITY,
    id                uuid        NOT NULL,
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
    received_at       timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (occurred_at);
-- Replay goes by number: events of one key were appended in their order. The inbox keeps events from coming twice.
CREATE INDEX event_log_seq_idx ON event_log (seq);
CREATE TABLE event_log_default PARTITION OF event_log DEFAULT;

-- How far counting has come. One row per slot, so that consumers of different partitions do not wait for each other.
CREATE TABLE consumption (
    slot      smallint PRIMARY KEY,
    revision  bigint      NOT NULL,
    events    bigint      NOT NULL,
    watermark timestamptz NOT NULL
);
