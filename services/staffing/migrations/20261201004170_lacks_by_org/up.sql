-- What an organisation's new workers are asked for: tasks that nobody, or not as many, were found for. By what was told, not by
-- `state`: that changes with every step, which would touch every index then.
CREATE INDEX tasks_lacks ON tasks (org_id, task_id) WHERE lack_told;
