ALTER TABLE catalogue_state
    ADD COLUMN catalogue_version integer NOT NULL DEFAULT 1;
