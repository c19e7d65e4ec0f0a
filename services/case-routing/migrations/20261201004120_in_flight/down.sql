-- The rows are what every change of a case writes: there is nothing to take back.
SELECT 1;
