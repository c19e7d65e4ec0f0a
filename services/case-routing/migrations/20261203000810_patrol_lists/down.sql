DROP INDEX patrols_grid;
DROP INDEX patrols_person;
DROP INDEX patrols_unit_newest;
