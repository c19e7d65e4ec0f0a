-- Whether the first change that waits may have arrived by an attempt that failed, whatever the later ones came to; and whether a
-- delivery is in hand whose outcome nobody has noted. A referral that is taken back is told of if it may be there.
ALTER TABLE external_tickets
    ADD COLUMN maybe_there boolean NOT NULL DEFAULT false,
    ADD COLUMN in_hand     boolean NOT NULL DEFAULT false;
UPDATE external_tickets SET maybe_there = true
WHERE waiting > 0 AND last_error IN ('timeout', 'broken_off', 'http_502', 'http_504');
