DROP TABLE admission_refusals;
DROP TABLE duty_items;
DROP TABLE duties;
