DROP INDEX assignments_active_person;
DROP INDEX assignments_active;
-- Before, a task had one active assignment: the others of a crew end, and no longer count for their workers.
UPDATE assignments a
   SET state = 8, ended_at = now(), end_reason = 'reassigned', version = version + 1
 WHERE a.state IN (1, 2, 3, 4)
   AND EXISTS (SELECT 1 FROM assignments b
                WHERE b.task_id = a.task_id AND b.state IN (1, 2, 3, 4) AND b.slot < a.slot);
UPDATE workers w
   SET open_count = (SELECT count(*) FROM assignments a
                      WHERE a.worker_id = w.worker_id AND a.state IN (1, 2, 3)),
       open_minutes = (SELECT coalesce(sum(a.weight), 0) FROM assignments a
                        WHERE a.worker_id = w.worker_id AND a.state IN (1, 2, 3));
CREATE UNIQUE INDEX assignments_active ON assignments (task_id) WHERE state IN (1, 2, 3, 4);
ALTER TABLE assignments DROP COLUMN slot;
ALTER TABLE tasks DROP COLUMN workers_wanted;
