//! Other systems, their mappings, tickets, and what each has still to hear.

pub mod changes;
pub mod mappings;
pub mod systems;
pub mod tickets;

#[cfg(test)]
mod tests;
