-- A partner's offer whose case was completed by an agreement of the parties, without a word of the partner.
ALTER TABLE offers DROP CONSTRAINT offers_state_check;
ALTER TABLE offers ADD CONSTRAINT offers_state_check
    CHECK (state IN ('open', 'confirmed', 'completed', 'settled', 'withdrawn'));
