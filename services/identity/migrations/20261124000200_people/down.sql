DROP TABLE role_grants, persons;
