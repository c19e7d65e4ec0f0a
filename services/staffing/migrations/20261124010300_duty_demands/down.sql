DROP TABLE duty_posts;
DROP TABLE duty_demands;
DROP TABLE fund_lines;
