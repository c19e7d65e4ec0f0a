-- Decisions cite the catalogue in force when they are made, which follows from `catalogue_versions`. Nothing reads or writes this
-- any more, but the build before does while a rollout replaces it: the column is to be dropped a release later.
ALTER TABLE catalogue_state ALTER COLUMN catalogue_version SET DEFAULT 1;
