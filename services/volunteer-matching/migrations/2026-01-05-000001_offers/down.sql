DROP TABLE service_records;
DROP TABLE offers;
DROP TABLE volunteers;
