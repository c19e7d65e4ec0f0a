-- A snapshot that is asked for once more changes nothing.
SELECT 1;
