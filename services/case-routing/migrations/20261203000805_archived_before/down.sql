-- The rows are what the triggers write: there is nothing to take back.
SELECT 1;
