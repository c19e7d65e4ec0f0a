DROP TABLE topology_version;
DROP TABLE revocations;
DROP TABLE topology_edges;
DROP TABLE topology_orgs;
DROP TABLE topology_units;
