//! Other systems, their mappings, tickets, what each has still to hear, what was referred to it, and what it reported.

pub mod changes;
pub mod joined;
pub mod mappings;
pub mod referrals;
pub mod reports;
pub mod systems;
pub mod tickets;

#[cfg(test)]
mod tests;
