//! The gateway as a process of its own.

fn main() -> std::process::ExitCode {
    gateway::run()
}
