//! The gateway as a process of its own, configured by the environment.

use std::process::ExitCode;

use anyhow::Context;
use chassis::{config::ServiceConfig, lifecycle::shutdown_signal, telemetry};
use tokio_util::sync::CancellationToken;

use crate::Config;

/// Runs until told to stop. The whole `main` of its binary.
pub fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(process()),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn process() -> anyhow::Result<()> {
    let telemetry = telemetry::init("gateway", &ServiceConfig::load("gateway")?.telemetry)?;
    let outcome = listen().await;
    telemetry.flush().await;
    outcome
}

async fn listen() -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        shutdown_signal().await;
        stopping.cancel();
    });
    crate::serve(config, listener, stop).await
}
