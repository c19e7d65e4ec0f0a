DROP TABLE announced_grants;
