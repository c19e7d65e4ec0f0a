DROP TABLE service_items, catalogue_versions, list_periods, responsibility_entries, list_versions, sla_profiles, catalogue_state;
