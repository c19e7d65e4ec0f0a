-- Units that were merged before copies kept the successor have none: identity's snapshot is asked for again.
UPDATE topology_version SET snapshot = false;
