DROP TRIGGER count_locked_minutes ON service_records;
DROP FUNCTION count_locked_minutes();
DROP TABLE volunteer_minutes;
