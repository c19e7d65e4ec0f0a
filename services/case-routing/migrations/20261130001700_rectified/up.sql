-- A merged case whose requester's bad rating was found valid waits until the case that it was merged into (`original_id`) was worked
-- on again, and then until its requester was called about that.
ALTER TABLE agenda
    DROP CONSTRAINT agenda_awaits_check,
    ADD CONSTRAINT agenda_awaits_check
        CHECK (awaits IN ('verification', 'judgement', 'rectification', 'callback')),
    ADD COLUMN original_id uuid;
