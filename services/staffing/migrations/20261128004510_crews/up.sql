-- Tasks that want several workers, such as a field check that two people make together.
ALTER TABLE tasks
    ADD COLUMN workers_wanted integer NOT NULL DEFAULT 1 CHECK (workers_wanted > 0);

ALTER TABLE assignments
    -- Which of the workers wanted: 1, 2, …
    ADD COLUMN slot smallint NOT NULL DEFAULT 1 CHECK (slot > 0);

-- Each slot of a task is held by one active assignment …
DROP INDEX assignments_active;
CREATE UNIQUE INDEX assignments_active ON assignments (task_id, slot) WHERE state IN (1, 2, 3, 4);
-- … and all of them by different people.
CREATE UNIQUE INDEX assignments_active_person ON assignments (task_id, person_id) WHERE state IN (1, 2, 3, 4);
