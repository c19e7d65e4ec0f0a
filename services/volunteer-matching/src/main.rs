//! volunteer-matching as a process of its own.

fn main() -> std::process::ExitCode {
    volunteer_matching::run()
}
