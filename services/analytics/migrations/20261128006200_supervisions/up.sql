-- A supervision counts as answered once, by its first answer: which of them wait for it. Of cases known before, `analytics
-- rebuild` makes it from event_log.
ALTER TABLE case_facts ADD COLUMN supervisions_unanswered text NOT NULL DEFAULT '';
