DROP SCHEMA rebuild CASCADE;
DROP TABLE items;
DROP TABLE open_due;
DROP TABLE state_counts;
DROP TABLE duration_rollups;
DROP TABLE rollups;
DROP TABLE mediation_facts;
DROP TABLE task_facts;
DROP TABLE case_facts;
