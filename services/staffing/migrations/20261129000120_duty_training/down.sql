ALTER TABLE duty_demands
    DROP COLUMN training_ref,
    DROP COLUMN training,
    DROP COLUMN training_codes;
