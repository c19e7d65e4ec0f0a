-- Exchange with other systems: who they are, how their codes are mapped, tickets, and what each has still to hear.
CREATE TABLE external_systems (
    system_code    text        COLLATE "C" PRIMARY KEY,
    name_zh        text        NOT NULL,
    name_en        text        NOT NULL,
    -- in, out, both
    direction      text        NOT NULL,
    -- on, paused
    state          text        NOT NULL,
    -- The person whose account speaks for it.
    client_id      uuid        CONSTRAINT external_systems_client UNIQUE,
    -- Where changes are posted; empty: it fetches them.
    endpoint       text        NOT NULL,
    -- Lines by which cases are handed off to it.
    line_codes     text[]      NOT NULL,
    -- The secrets that sign, newest first, encrypted.
    sealed_secrets bytea,
    version        bigint      NOT NULL,
    updated_at     timestamptz NOT NULL
);

-- A version of a mapping; its content never changes.
CREATE TABLE external_mappings (
    system_code     text        NOT NULL REFERENCES external_systems,
    mapping_version integer     NOT NULL,
    -- draft, in_force, superseded, withdrawn
    state           text        NOT NULL,
    content         text        COMPRESSION lz4 NOT NULL,
    -- Pseudonyms. Who drafted a version never puts it in force.
    drafted_by      text        NOT NULL,
    drafted_at      timestamptz NOT NULL,
    approved_by     text        CHECK (approved_by <> drafted_by),
    approved_at     timestamptz,
    -- The version that was in force before it.
    replaced        integer,
    PRIMARY KEY (system_code, mapping_version)
);
CREATE UNIQUE INDEX external_mappings_in_force ON external_mappings (system_code) WHERE state = 'in_force';

-- A case that another system knows. Always locked after its case, never before.
CREATE TABLE external_tickets (
    ticket_id       uuid        PRIMARY KEY,
    system_code     text        NOT NULL REFERENCES external_systems,
    -- The other system's number; unset for a referral without one.
    ext_no          text,
    case_id         uuid        NOT NULL,
    case_no         text        NOT NULL,
    -- in, out
    direction       text        NOT NULL,
    mapping_version integer     NOT NULL,
    class_code      text        NOT NULL,
    class_name      text        NOT NULL,
    area_code       text        NOT NULL,
    -- What was pushed, by whom, and what came later: encrypted. Unset for a referral.
    sealed          bytea,
    remark_count    integer     NOT NULL,
    remarked_at     timestamptz,
    -- When it was made there, if that was said.
    reported_at     timestamptz,
    taken_at        timestamptz NOT NULL,
    -- pending, synced, retrying, failed
    sync_state      text        NOT NULL,
    -- Changes that it does not have yet.
    waiting         integer     NOT NULL,
    -- Failed attempts in a row, when the next one is due (real time), and why the last one failed.
    attempts        integer     NOT NULL,
    due_at          timestamptz,
    last_error      text        NOT NULL,
    -- Of the delivery in hand.
    lease           uuid,
    CONSTRAINT external_tickets_number UNIQUE (ext_no, system_code)
) WITH (fillfactor = 80);
CREATE INDEX external_tickets_case ON external_tickets (case_id);
CREATE INDEX external_tickets_due ON external_tickets (system_code, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX external_tickets_unsynced ON external_tickets (ticket_id) WHERE sync_state <> 'synced';

-- What the other system has to hear of a ticket, in order. The change's id is the key by which it knows a repeat.
CREATE TABLE ticket_changes (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id    uuid        NOT NULL UNIQUE,
    ticket_id    uuid        NOT NULL REFERENCES external_tickets,
    -- Counts the changes of the ticket from 1.
    number       integer     NOT NULL,
    -- state, referral
    kind         text        NOT NULL,
    state        text        NOT NULL,
    closed_code  text,
    at           timestamptz NOT NULL,
    delivered_at timestamptz,
    UNIQUE (ticket_id, number)
);
CREATE INDEX ticket_changes_waiting ON ticket_changes (ticket_id, number) WHERE delivered_at IS NULL;
CREATE INDEX ticket_changes_delivered ON ticket_changes (delivered_at) WHERE delivered_at IS NOT NULL;
