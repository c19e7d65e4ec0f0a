-- Who chose the password that its owner has changed since, and its hash. For approvers that person does not choose the next one,
-- and the password itself never comes back: an owner in whose place it was changed cannot sign in any more, and says so.
ALTER TABLE accounts ADD COLUMN handed_out_by uuid, ADD COLUMN handed_out_hash text;
