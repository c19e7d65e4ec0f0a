-- A grant whose end is told of without it, or before it, is kept by its ids: told of later it lets nobody be registered. The event of the
-- end says no more of it.
ALTER TABLE announced_grants
    ALTER COLUMN person_ref DROP NOT NULL,
    ADD CONSTRAINT announced_grants_told CHECK (ended OR person_ref IS NOT NULL);
