-- Patrols of a community, of a person and of a grid, newest first, among all that were ever walked.
CREATE INDEX patrols_unit_newest ON patrols (unit_id, patrol_id DESC);
CREATE INDEX patrols_person ON patrols (person_id, patrol_id DESC);
CREATE INDEX patrols_grid ON patrols (grid_code, patrol_id DESC);
