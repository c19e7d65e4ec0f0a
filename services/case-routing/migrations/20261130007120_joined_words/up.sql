-- What was said in a case that was merged into another is heard by those who work on the other.
ALTER TABLE case_remarks DROP CONSTRAINT case_remarks_kind_check;
ALTER TABLE case_remarks ADD CONSTRAINT case_remarks_kind_check
    CHECK (kind IN ('remark', 'reopening', 'rating', 'joined'));
