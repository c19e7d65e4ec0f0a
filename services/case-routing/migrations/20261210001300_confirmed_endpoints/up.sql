-- The endpoint for which a version was put in force: nothing is posted to another one, so that no operator says alone where it goes.
-- Of versions that were put in force before there was this column nobody knows which endpoint their system had then: what it has now is
-- taken for confirmed, for that is where is posted to already. Null: a draft, or put in force by a replica from before while both run;
-- such a version counts for the endpoint that its system has, until an operator sets another one, when the old one is written here.
ALTER TABLE external_mappings ADD COLUMN endpoint text;
UPDATE external_mappings m SET endpoint = s.endpoint FROM external_systems s
 WHERE s.system_code = m.system_code AND m.approved_at IS NOT NULL;
