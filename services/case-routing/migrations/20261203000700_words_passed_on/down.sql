ALTER TABLE external_tickets
    DROP COLUMN passed_on;
ALTER TABLE ticket_changes
    DROP COLUMN words;
