DELETE FROM agenda WHERE awaits IN ('rectification', 'callback');
ALTER TABLE agenda
    DROP COLUMN original_id,
    DROP CONSTRAINT agenda_awaits_check,
    ADD CONSTRAINT agenda_awaits_check CHECK (awaits IN ('verification', 'judgement'));
