-- The cases that were archived before the triggers were there. Apart from these, which keep everybody from writing cases until their
-- migration is committed: this reads every case once, while others go on. Who archives one meanwhile writes it as well.
INSERT INTO archived (case_id, street_id, line)
SELECT case_id, street_id, line FROM cases WHERE state = 'archived'
ON CONFLICT DO NOTHING;
