-- Courses that a transfer asks for besides money and posts; those that asked before have none.
ALTER TABLE duty_demands
    ADD COLUMN training_codes text[]   NOT NULL DEFAULT '{}',
    -- 1 asked, 2 met
    ADD COLUMN training       smallint NOT NULL DEFAULT 1 CHECK (training BETWEEN 1 AND 2),
    ADD COLUMN training_ref   text     NOT NULL DEFAULT '';
