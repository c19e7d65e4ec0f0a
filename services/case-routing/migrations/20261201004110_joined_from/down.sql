ALTER TABLE case_remarks DROP COLUMN source_case_id;
