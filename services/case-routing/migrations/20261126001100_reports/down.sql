DROP TABLE ticket_reports;
ALTER TABLE external_tickets
    DROP COLUMN external_status,
    DROP COLUMN external_state,
    DROP COLUMN external_at;
