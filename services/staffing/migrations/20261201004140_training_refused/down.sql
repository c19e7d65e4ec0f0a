UPDATE duty_demands SET training = 1 WHERE training = 3;
ALTER TABLE duty_demands
    DROP CONSTRAINT duty_demands_training_check,
    ADD CONSTRAINT duty_demands_training_check CHECK (training BETWEEN 1 AND 2);
