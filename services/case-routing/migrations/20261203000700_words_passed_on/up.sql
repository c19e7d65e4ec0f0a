-- What another system says of a case that was referred is passed on to whoever has it (补充转达): the words, redacted, of a change of
-- the kind `remark`, and how many a ticket was told. That the referral is taken back is numbered behind them.
ALTER TABLE ticket_changes
    ADD COLUMN words text;
ALTER TABLE external_tickets
    ADD COLUMN passed_on integer NOT NULL DEFAULT 0;
