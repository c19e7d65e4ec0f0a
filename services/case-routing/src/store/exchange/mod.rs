//! Other systems, their mappings, tickets, what each has still to hear, and what it reported.

pub mod changes;
pub mod joined;
pub mod mappings;
pub mod reports;
pub mod systems;
pub mod tickets;

#[cfg(test)]
mod tests;
