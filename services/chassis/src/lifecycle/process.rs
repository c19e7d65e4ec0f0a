//! The process of one service: `main` of its binary. A second signal, or a stop that takes too long, ends it at once
//! and not with success.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use super::{Service, Wiring, start};
use crate::{
    bus::{EventBus, RabbitConfig, RabbitMq},
    config::ServiceConfig,
    telemetry,
};

/// An orderly stop takes at most this long.
const STOP: Duration = Duration::from_secs(25);

/// Runs a service until it is told to stop. The whole `main` of its binary.
pub fn run<S: Service>() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(process::<S>()),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

async fn process<S: Service>() -> anyhow::Result<()> {
    let config = ServiceConfig::load(S::NAME)?;
    let telemetry = telemetry::init(S::NAME, &config.telemetry)?;
    let outcome = serve::<S>(config).await;
    telemetry.flush().await;
    outcome
}

async fn serve<S: Service>(config: ServiceConfig) -> anyhow::Result<()> {
    let url = config.bus.amqp_url.clone().context(
        "JIANGHAN_AMQP_URL is not set: a service in a process of its own needs RabbitMQ (`jianghan up` does not)",
    )?;
    let rabbit = RabbitConfig { groups: config.bus.groups, ..RabbitConfig::default() };
    let rabbit = RabbitMq::new(url.expose_secret(), S::NAME, rabbit)?;
    // Declares what this build publishes before anything of it can be committed: until then a replica of an earlier build that
    // leads the relay would know nobody but analytics to take a new type to. Without a broker calls are served nevertheless.
    let _ = tokio::time::timeout(Duration::from_secs(10), rabbit.check()).await;
    let bus: Arc<dyn EventBus> = Arc::new(rabbit);
    let mut running = start::<S>(config, Wiring::new(bus.clone())).await?;
    let ended = tokio::select! {
        ended = running.ended() => ended,
        () = shutdown_signal() => {
            tracing::info!("told to stop");
            running.tell_to_stop();
            tokio::select! {
                ended = running.ended() => ended,
                () = shutdown_signal() => die("a second signal"),
                () = tokio::time::sleep(STOP) => die("the stop took too long"),
            }
        }
    };
    bus.close().await;
    ended
}

/// Ends the process at once, with a failure.
fn die(why: &str) -> ! {
    tracing::error!(why, "ended without an orderly stop");
    std::process::exit(1)
}

/// Resolves at the next SIGTERM or SIGINT (Ctrl-C).
pub async fn shutdown_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened for");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
