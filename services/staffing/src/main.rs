//! The staffing service as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    staffing::run()
}
