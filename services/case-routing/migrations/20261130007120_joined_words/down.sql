DELETE FROM case_remarks WHERE kind = 'joined';
ALTER TABLE case_remarks DROP CONSTRAINT case_remarks_kind_check;
ALTER TABLE case_remarks ADD CONSTRAINT case_remarks_kind_check CHECK (kind IN ('remark', 'reopening', 'rating'));
