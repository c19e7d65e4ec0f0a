-- How many changes a ticket was told of the cases that its own was merged into; what its own tells is numbered behind them.
ALTER TABLE external_tickets
    ADD COLUMN joined integer NOT NULL DEFAULT 0;
