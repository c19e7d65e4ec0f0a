//! All SQL, in and out in domain types.

pub mod agenda;
pub mod alike;
pub mod applications;
pub mod benefits;
pub mod calendar;
pub mod case_store;
pub mod catalogue;
pub mod catalogue_versions;
pub mod digests;
pub mod duties;
pub mod exchange;
pub mod hotspots;
pub mod hours;
pub mod imports;
pub mod list;
mod list_running;
mod list_texts;
pub mod listed;
pub mod lists;
pub mod mediations;
pub mod models;
pub mod notes;
pub mod notices;
pub mod patrols;
pub mod precedents;
pub mod read;
pub mod refusals;
pub mod registers;
pub mod remarks;
pub mod repeats;
pub mod retention;
pub mod rows;
pub mod suggestions;
pub mod words;
pub mod write;

pub use listed::Listed;
