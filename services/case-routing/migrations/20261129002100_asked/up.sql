-- Who is asked for something by an open case without having a task of it: the parties and the arbiter of an open arbitration, the
-- verifier, whoever has to answer a supervision or to define the duty. `org_ids` has them, too. Rows that stand already get them
-- at their next change.
ALTER TABLE agenda ADD COLUMN asked_org_ids uuid[] NOT NULL DEFAULT '{}';
-- Few, by case and by when they are due: an organisation's lists do not go through everybody's open cases for them.
CREATE INDEX agenda_asked ON agenda (case_id) WHERE asked_org_ids <> '{}';
CREATE INDEX agenda_asked_running ON agenda (running_due_at, case_id)
    WHERE asked_org_ids <> '{}' AND running_due_at IS NOT NULL;
