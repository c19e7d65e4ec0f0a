ALTER TABLE external_tickets
    DROP COLUMN joined;
