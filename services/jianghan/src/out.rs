//! What commands print. Never `print!`: it panics where the reader has gone or the disk is full. What could not be printed of a result
//! is a failure of the command; what is told beside it may be lost.

use std::{
    fmt,
    io::{Write, stderr, stdout},
};

use anyhow::{Context, Result};
use serde::Serialize;

/// A line of the result.
macro_rules! say {
    ($($arg:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($arg)*)))
    };
}

/// A line beside the result, for people.
macro_rules! note {
    ($($arg:tt)*) => {
        $crate::out::aside(format_args!("{}\n", format_args!($($arg)*)))
    };
}

pub(crate) use note;
pub(crate) use say;

/// Prints as it is.
///
/// # Errors
/// Where it cannot be written.
pub fn write(text: fmt::Arguments<'_>) -> Result<()> {
    written(&mut stdout().lock(), text)
}

/// Prints a text that has its own end of line.
///
/// # Errors
/// Where it cannot be written.
pub fn text(text: &str) -> Result<()> {
    write(format_args!("{text}"))
}

/// Prints for machines.
///
/// # Errors
/// Where it cannot be written.
pub fn json(value: &(impl Serialize + ?Sized)) -> Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?)
}

/// Prints beside the result, if that is possible.
pub fn aside(text: fmt::Arguments<'_>) {
    written(&mut stderr().lock(), text).ok();
}

fn written(to: &mut impl Write, text: fmt::Arguments<'_>) -> Result<()> {
    to.write_fmt(text).and_then(|()| to.flush()).context("cannot print")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_any_more_is_an_error_and_no_panic() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let told = written(&mut writer, format_args!("a line\n")).expect_err("nobody reads");
        assert!(format!("{told:#}").starts_with("cannot print: "), "{told:#}");
    }
}
