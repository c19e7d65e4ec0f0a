-- Applications for an admission that nobody has decided end with their last day from now on, those included that wait already.
UPDATE duties SET due_at = (doc::jsonb #>> '{admission,valid_to}')::timestamptz
WHERE kind = 'admission' AND state IN ('applied', 'assessed') AND due_at IS NULL;
