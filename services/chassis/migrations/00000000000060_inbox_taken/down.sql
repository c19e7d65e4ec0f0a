DROP SEQUENCE inbox_taken;
