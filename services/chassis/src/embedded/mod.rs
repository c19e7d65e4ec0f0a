//! Private servers: a PostgreSQL cluster and a RabbitMQ broker that belong to one `jianghan up` or one test run. They
//! listen on a unix socket or on loopback only, are stopped by their own pid, and never outlive the process that
//! started them. Nothing here touches a server of the system.

mod child;
pub mod postgres;
pub mod rabbitmq;

pub use self::{postgres::Postgres, rabbitmq::RabbitMq};
