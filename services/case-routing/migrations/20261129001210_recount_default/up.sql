-- Replicas of earlier builds, which name no version, still insert benefits during a rolling upgrade: the first pass counts them anew.
ALTER TABLE benefits ALTER COLUMN calendar_version SET DEFAULT 0;
