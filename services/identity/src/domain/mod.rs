//! What identity decides, without I/O, clock or randomness: units, organisations, authority edges, people's fields,
//! grants, sessions and the audit chain. `now` and ids are parameters. It must never know a database or a transport.

pub mod audit;
pub mod duty_authority;
pub mod edge;
pub mod facts;
pub mod grant;
pub mod ids;
pub mod login;
pub mod organization;
pub mod personal;
pub mod purpose;
pub mod session;
pub mod tag;
pub mod text;
pub mod unit;

pub use ids::{EdgeId, GrantId, OrgId, PersonId, SessionId, UnitId};
