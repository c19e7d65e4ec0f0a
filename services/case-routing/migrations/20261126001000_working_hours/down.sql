DROP TABLE working_hours_orders;
