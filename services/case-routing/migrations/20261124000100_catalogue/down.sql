DROP TABLE catalogue_state, sla_profiles, responsibility_entries, service_items;
