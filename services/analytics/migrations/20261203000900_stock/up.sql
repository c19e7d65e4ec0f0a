-- The counters that the stock at the end of a day is made of, by month and in all, so that whoever asks for it need not read every day
-- since ever. Nobody takes events in meanwhile: what is counted already is in it once.
LOCK TABLE ONLY event_log IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE stock_rollups (
    unit_id   uuid NOT NULL,
    line      text NOT NULL,
    -- The first day of the month; 9999-12-31 holds all of them, and so stands behind each of which it is read without.
    month     date NOT NULL,
    item_code text NOT NULL,
    overdue_in       bigint NOT NULL,
    overdue_out      bigint NOT NULL,
    overdue_in_days  bigint NOT NULL,
    overdue_out_days bigint NOT NULL,
    PRIMARY KEY (unit_id, line, month, item_code)
) WITH (fillfactor = 70);

INSERT INTO stock_rollups
    (unit_id, line, month, item_code, overdue_in, overdue_out, overdue_in_days, overdue_out_days)
SELECT unit_id, line, m.month, item_code, COALESCE(SUM(overdue_in), 0), COALESCE(SUM(overdue_out), 0),
    COALESCE(SUM(overdue_in_days), 0), COALESCE(SUM(overdue_out_days), 0)
FROM rollups CROSS JOIN LATERAL
    (VALUES (date_trunc('month', day::timestamp)::date), (DATE '9999-12-31')) AS m (month)
WHERE num_nonnulls(overdue_in, overdue_out, overdue_in_days, overdue_out_days) > 0
GROUP BY unit_id, line, m.month, item_code;

-- How many of the commits that `revision` counts are in that table. Replicas of the build before leave it behind while a rollout
-- replaces them; then the stock is read from the days, until the table is made anew.
ALTER TABLE consumption ADD COLUMN stock_revision bigint NOT NULL DEFAULT 0;
UPDATE consumption SET stock_revision = revision;
