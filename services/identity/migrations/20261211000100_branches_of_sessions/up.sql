-- Which branch of its session a refresh token is of: none of the session's own line. With it every one that followed; tokens of before
-- and of replicas of the build before, while a rollout replaces them, are taken for the session's own.
-- And which branch began with the use of this one, until the branch is ended: because the token came again within its grace.
ALTER TABLE refresh_tokens
    ADD COLUMN branch_id      uuid,
    ADD COLUMN gave_branch_id uuid,
    ADD CONSTRAINT branches_give_none CHECK (branch_id IS NULL OR gave_branch_id IS NULL);
CREATE UNIQUE INDEX refresh_tokens_gave_branch ON refresh_tokens (gave_branch_id) WHERE gave_branch_id IS NOT NULL;
