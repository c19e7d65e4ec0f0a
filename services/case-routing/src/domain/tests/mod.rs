//! Tests of the domain over one small world: the state table pair by pair, the flows of domain.md §3, the
//! router, and random histories.

mod after;
mod flows;
mod follow;
mod history;
mod lists;
mod routing;
mod table;
mod time;
pub(super) mod world;
