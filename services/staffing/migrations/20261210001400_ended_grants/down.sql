ALTER TABLE announced_grants DROP CONSTRAINT announced_grants_told;
DELETE FROM announced_grants WHERE person_ref IS NULL OR org_id IS NULL;
ALTER TABLE announced_grants
    ALTER COLUMN person_ref SET NOT NULL,
    ALTER COLUMN org_id SET NOT NULL;
