-- How many workers have a task in hand while it is `active`: more than one only where it needs several.
ALTER TABLE tasks ADD COLUMN workers smallint NOT NULL DEFAULT 1;
