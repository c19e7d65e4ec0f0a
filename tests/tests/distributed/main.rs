//! Journeys through the suite as it runs in a district: a process per service, RabbitMQ and PostgreSQL, each of which
//! may be killed at any time. One world serves them all.

mod disputes;
mod exchange;
mod f1;
mod f2;
mod f5;
mod f8;
mod idempotency;
mod nothing_lost;
mod personal_data;
mod revocation;
mod stale_copy;
mod traces;
mod up;
