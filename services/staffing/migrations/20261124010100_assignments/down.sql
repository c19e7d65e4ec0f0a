DROP TABLE assignments, tasks;
