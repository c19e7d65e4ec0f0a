//! The staffing service as a process of its own.

use std::process::ExitCode;

use staffing::App;

fn main() -> ExitCode {
    chassis::run::<App>()
}
