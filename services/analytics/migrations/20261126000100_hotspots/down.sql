DROP TABLE hotspot_runs, hotspots;
