//! The gateway as a process of its own, configured by the environment.

use std::process::ExitCode;

use anyhow::Context;
use chassis::{lifecycle::Signals, telemetry};
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
    let (config, telemetry) = Config::from_environment()?;
    let telemetry = telemetry::init("gateway", &telemetry)?;
    telemetry::log_panics();
    let outcome = listen(config).await;
    telemetry.flush().await;
    outcome
}

async fn listen(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    tracing::info!(http.listen = %config.listen, "the gateway serves");
    let stop = CancellationToken::new();
    let mut server = std::pin::pin!(crate::serve(config, listener, stop.clone()));
    tokio::select! {
        outcome = &mut server => return outcome,
        () = signals.next() => stop.cancel(),
    }
    // A second signal does not wait for the answers in hand.
    tokio::select! {
        outcome = &mut server => outcome,
        () = signals.next() => anyhow::bail!("aborted by a second signal"),
    }
}
