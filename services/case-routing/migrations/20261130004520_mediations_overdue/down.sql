DROP INDEX mediations_overdue;
ALTER TABLE mediations DROP COLUMN overdue_since;
