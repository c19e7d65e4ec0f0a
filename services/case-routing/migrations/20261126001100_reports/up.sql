-- What other systems report of the cases that were referred to them.
ALTER TABLE external_tickets
    -- Where the case stands there, in their word and as a state of ours, and since when, by the report with the latest time.
    ADD COLUMN external_status text,
    ADD COLUMN external_state  text,
    ADD COLUMN external_at     timestamptz;

-- Every report once, by the name that the other system gave it.
CREATE TABLE ticket_reports (
    ticket_id       uuid        NOT NULL REFERENCES external_tickets,
    report_ref      text        COLLATE "C" NOT NULL,
    external_status text        NOT NULL,
    -- By the mapping that was in force.
    state           text        NOT NULL,
    mapping_version integer     NOT NULL,
    changed_at      timestamptz NOT NULL,
    taken_at        timestamptz NOT NULL,
    PRIMARY KEY (ticket_id, report_ref)
);
