ALTER TABLE case_facts DROP COLUMN late_before, DROP COLUMN missed_before, DROP COLUMN led;
