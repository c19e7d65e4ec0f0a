ALTER TABLE case_facts DROP COLUMN rated_on_behalf_only;
