-- A grant whose end is told of without it, or before it, is kept by its ids: told of later it makes nobody a worker, nor lets anybody be
-- put on a post. The event of the end says no more of it.
ALTER TABLE announced_grants
    ALTER COLUMN person_ref DROP NOT NULL,
    ALTER COLUMN org_id DROP NOT NULL,
    ADD CONSTRAINT announced_grants_told CHECK (ended OR (person_ref IS NOT NULL AND org_id IS NOT NULL));
