DROP INDEX cases_item;
DROP TABLE import_batches;
