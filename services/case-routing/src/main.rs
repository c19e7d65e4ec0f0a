//! The service as a process of its own.

fn main() -> std::process::ExitCode {
    case_routing::run()
}
