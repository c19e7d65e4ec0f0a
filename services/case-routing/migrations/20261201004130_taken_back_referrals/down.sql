ALTER TABLE external_tickets
    DROP COLUMN taken_back_at,
    DROP COLUMN taken_back_told;
