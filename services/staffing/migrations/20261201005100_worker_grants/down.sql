DROP TABLE worker_grants;
