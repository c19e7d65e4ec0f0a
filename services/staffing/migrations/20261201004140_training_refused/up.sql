-- Courses that a transfer asks for may be refused, as money and posts may: 1 asked, 2 met, 3 refused.
ALTER TABLE duty_demands
    DROP CONSTRAINT duty_demands_training_check,
    ADD CONSTRAINT duty_demands_training_check CHECK (training BETWEEN 1 AND 3);
