//! The service as a process of its own.

fn main() -> std::process::ExitCode {
    chassis::run::<case_routing::App>()
}
