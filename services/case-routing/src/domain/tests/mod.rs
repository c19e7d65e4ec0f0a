//! Tests of the domain over one small world: the state table pair by pair, the flows of domain.md §3, the
//! router, and random histories.

mod after;
mod agreed;
mod application;
mod application_history;
mod application_world;
mod arbitration;
mod attempts;
mod benefit;
mod benefit_end;
mod benefit_history;
mod checks;
mod conditions;
mod crew;
mod field;
mod flows;
mod follow;
mod history;
mod hours;
mod import;
mod lists;
mod merging;
mod partners;
mod precedents;
mod public_notices;
mod remark;
mod rights;
mod routing;
mod stages;
mod suggestion;
mod supervision;
mod table;
mod tally;
mod time;
mod whistle;
mod window;
pub(crate) mod world;
