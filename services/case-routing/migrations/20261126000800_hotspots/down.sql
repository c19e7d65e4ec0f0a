DROP TABLE hotspots;
