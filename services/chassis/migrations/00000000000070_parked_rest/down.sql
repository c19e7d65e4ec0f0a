DROP TRIGGER parked_next_of_skipped ON parked_events;
DROP TRIGGER parked_next_of_handled ON parked_events;
DROP FUNCTION parked_next_is_due();
DROP INDEX parked_events_due;
UPDATE parked_events SET next_attempt_at = clock_timestamp() WHERE next_attempt_at = '9999-12-31 00:00:00+00';
