ALTER TABLE case_facts DROP COLUMN supervisions_unanswered;
