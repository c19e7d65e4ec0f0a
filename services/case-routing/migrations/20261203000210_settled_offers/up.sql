-- A partner's offer whose case was completed by an agreement of the parties, without a word of the partner.
ALTER TABLE offers DROP CONSTRAINT offers_state_check;
ALTER TABLE offers ADD CONSTRAINT offers_state_check
    CHECK (state IN ('open', 'confirmed', 'completed', 'settled', 'withdrawn'));
-- Of those noted before it is not known whether the partner has added its hours.
UPDATE offers o SET state = 'settled' FROM cases c
    WHERE c.case_id = o.case_id AND o.state = 'completed' AND c.closed_code = 'mediated';
