-- When the case of a partner's offer was closed: hours of what was completed without its word may be added until then. Of offers
-- from before, those are closed that have locked hours.
ALTER TABLE offers ADD COLUMN closed_at timestamptz;
