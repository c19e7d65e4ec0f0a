-- Decisions cite the catalogue in force when they are made, which follows from `catalogue_versions`.
ALTER TABLE catalogue_state DROP COLUMN catalogue_version;
