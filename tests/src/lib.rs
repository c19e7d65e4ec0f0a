//! The harness of the journeys: worlds (a whole suite with throw-away servers), the people in them, waiting on
//! conditions, calls made from descriptors alone, an OTLP receiver, a browser and a reader of databases. It drives a suite as
//! its users do, over gRPC and HTTP; only checks look into databases, and nothing here ever writes to one.

pub mod applications;
pub mod broker;
pub mod descriptors;
pub mod disputes;
pub mod duty;
pub mod exchange;
pub mod journeys;
pub mod mediation;
pub mod newcomers;
pub mod operator;
pub mod otlp;
pub mod people;
pub mod requests;
pub mod revocation;
pub mod soak;
pub mod story;
pub mod tables;
pub mod traces;
pub mod trouble;
pub mod up;
pub mod variations;
pub mod verbs;
pub mod wait;
pub mod webdriver;
pub mod world;

pub use people::Person;
pub use wait::eventually;
pub use world::{World, run};
