-- Or by the names that PostgreSQL gave them when a rebuild made the tables anew.
DROP INDEX IF EXISTS mediation_facts_place_idx, mediation_facts_place_unit_id_mediation_id_idx;
DROP INDEX IF EXISTS task_facts_place_idx, task_facts_place_unit_id_task_id_idx;
DROP INDEX IF EXISTS case_facts_place_idx, case_facts_place_unit_id_case_id_idx;
