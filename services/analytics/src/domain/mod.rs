//! What is measured and how: facts made from events, the days they count on, counters, indicator definitions and
//! values. Pure: no database, no network, no clock. A value is a function of the definition, the events and the
//! unit tree alone (domain.md §2.5, A-1). Persons never appear here, only ids of cases and tasks.

pub mod case_fact;
pub mod change;
pub mod cohort;
pub mod counter;
pub mod delta;
pub mod histogram;
pub mod history;
pub mod hotspot;
mod imported;
pub mod indicator;
pub mod mediation_fact;
pub mod process;
pub mod process_figures;
pub mod tally;
pub mod task_fact;
pub mod value;
pub mod vocabulary;

#[cfg(test)]
mod again;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "../../tests/service/support/story.rs"]
mod story;

pub use case_fact::CaseFact;
pub use change::{CaseEvent, Change, Taken, TaskChange};
pub use counter::{Counter, Counters, Families};
pub use delta::Deltas;
pub use history::History;
pub use mediation_fact::{MediationEvent, MediationFact};
pub use process::Worked;
pub use task_fact::TaskFact;
