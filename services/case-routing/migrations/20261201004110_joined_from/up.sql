-- In which case words were said that another one hears: they are shown there as long as that case is merged into it. Unset of the
-- rows of builds that did not keep it, which stand as long as any case is.
ALTER TABLE case_remarks ADD COLUMN source_case_id uuid;
