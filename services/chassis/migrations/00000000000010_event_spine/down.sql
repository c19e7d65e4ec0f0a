DROP TABLE domain_clock, consumer_member, consumer_lease, relay_lease, idempotency, parked_events, inbox, outbox;
