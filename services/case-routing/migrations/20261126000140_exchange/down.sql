DROP TABLE ticket_changes;
DROP TABLE external_tickets;
DROP TABLE external_mappings;
DROP TABLE external_systems;
