DROP TABLE authority_edges, organizations, unit_lineage, unit_history, units;
