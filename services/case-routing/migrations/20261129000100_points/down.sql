DROP TABLE case_points;
