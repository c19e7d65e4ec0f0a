ALTER TABLE external_tickets
    DROP COLUMN in_hand,
    DROP COLUMN maybe_there;
