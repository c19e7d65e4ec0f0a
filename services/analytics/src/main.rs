//! The analytics service on its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    analytics::run()
}
