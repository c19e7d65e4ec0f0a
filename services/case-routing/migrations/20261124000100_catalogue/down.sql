DROP TABLE service_items, list_periods, responsibility_entries, list_versions, sla_profiles, catalogue_state;
