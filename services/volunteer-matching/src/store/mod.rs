//! All SQL of the service, in and out in domain types.

pub mod announced;
pub mod offers;
pub mod records;
pub mod volunteers;

use chassis::{Error, Result};

/// A text column that holds one of an enumeration; anything else in it is a fault of ours.
fn known<T>(value: Option<T>, column: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::internal(std::io::Error::other(format!("{column} holds an unknown value"))))
}
