DROP INDEX mediation_facts_place_idx;
DROP INDEX task_facts_place_idx;
DROP INDEX case_facts_place_idx;
