-- The endpoint that its system had when a version was put in force: nothing is posted to another one, so that no operator says alone
-- where it goes. Null: a draft, or put in force by a replica from before.
ALTER TABLE external_mappings ADD COLUMN endpoint text;
UPDATE external_mappings m SET endpoint = s.endpoint FROM external_systems s
 WHERE s.system_code = m.system_code AND m.approved_at IS NOT NULL;
