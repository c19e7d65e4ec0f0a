DROP TABLE volunteer_grants;
