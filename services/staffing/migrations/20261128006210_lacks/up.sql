-- That a task lacks workers is told once, also where its result was handed in and sent back meanwhile.
ALTER TABLE tasks ADD COLUMN lack_told boolean NOT NULL DEFAULT false;
-- 2: nobody, or not as many, were found.
UPDATE tasks SET lack_told = true WHERE state = 2;
