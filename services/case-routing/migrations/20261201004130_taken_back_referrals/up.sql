-- When somebody here took a referral back, and whether its system has to hear of that, or has heard: not before it is known to have
-- the referral. A referral that had not arrived by then counts as delivered, so that nobody sends it any more.
ALTER TABLE external_tickets
    ADD COLUMN taken_back_at   timestamptz,
    ADD COLUMN taken_back_told boolean NOT NULL DEFAULT false;
