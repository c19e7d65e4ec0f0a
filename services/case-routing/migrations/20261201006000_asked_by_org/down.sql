CREATE INDEX agenda_asked ON agenda (case_id) WHERE asked_org_ids <> '{}';
CREATE INDEX agenda_asked_running ON agenda (running_due_at, case_id)
    WHERE asked_org_ids <> '{}' AND running_due_at IS NOT NULL;
DROP TRIGGER keep_asked_of_gone ON agenda;
DROP TRIGGER keep_asked ON agenda;
DROP TRIGGER keep_asked_of_new ON agenda;
DROP FUNCTION keep_asked();
DROP TABLE asked;
