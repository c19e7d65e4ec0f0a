-- Facts by place: what is counted there is counted anew from them, place by place, when services are reconciled.
CREATE INDEX case_facts_place_idx ON case_facts (place_unit_id, case_id);
CREATE INDEX task_facts_place_idx ON task_facts (place_unit_id, task_id);
CREATE INDEX mediation_facts_place_idx ON mediation_facts (place_unit_id, mediation_id);
