//! The gateway as a process of its own.

use std::process::ExitCode;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let config = gateway::Config::from_environment()?;
    let telemetry = chassis::telemetry::init("gateway", &chassis::config::TelemetryConfig::default())?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        chassis::lifecycle::stop_signal().await;
        stopping.cancel();
    });
    let result = gateway::serve(config, listener, stop).await;
    telemetry.flush().await;
    result
}
