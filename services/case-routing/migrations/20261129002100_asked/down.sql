ALTER TABLE agenda DROP COLUMN asked_org_ids;
