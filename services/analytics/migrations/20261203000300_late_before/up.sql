-- What was late before it was sent back, or opened again, was late all the same (I-07, I-12); and the first lead of a case stays to
-- its closing only where somebody leads it then (I-03). Of cases known before, `analytics rebuild` makes it from event_log.
ALTER TABLE case_facts
    ADD COLUMN led boolean NOT NULL DEFAULT true,
    ADD COLUMN missed_before boolean NOT NULL DEFAULT false,
    ADD COLUMN late_before text NOT NULL DEFAULT '';
