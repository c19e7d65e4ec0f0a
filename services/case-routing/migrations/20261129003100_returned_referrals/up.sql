-- Whether the other system ever sent the referral back: the case is no longer with it.
ALTER TABLE external_tickets
    ADD COLUMN returned boolean NOT NULL DEFAULT false;
