//! volunteer-matching as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run::<volunteer_matching::App>()
}
