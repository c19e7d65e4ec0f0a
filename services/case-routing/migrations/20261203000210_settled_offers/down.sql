UPDATE offers SET state = 'completed' WHERE state = 'settled';
ALTER TABLE offers DROP CONSTRAINT offers_state_check;
ALTER TABLE offers ADD CONSTRAINT offers_state_check CHECK (state IN ('open', 'confirmed', 'completed', 'withdrawn'));
