ALTER TABLE refresh_tokens DROP COLUMN branch_id, DROP COLUMN gave_branch_id;
