//! The process of one service: `main` of its binary. A second signal, or a stop that takes too long, ends it at once
//! and not with success.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{Running, Service, Wiring, start};
use crate::{
    bus::{EventBus, RabbitConfig, RabbitMq},
    config::ServiceConfig,
    telemetry,
};

/// An orderly stop takes at most this long, up to the last span that is sent.
const STOP: Duration = Duration::from_secs(25);

/// Runs a service until it is told to stop, as the one thing that this process does.
pub fn run<S: Service>() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(process::<S>());
            runtime.shutdown_background(); // an exporter that hangs is not waited for any more
            ended
        }
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
    telemetry::log_panics();
    let mut until = None;
    let outcome = serve::<S>(config, &mut until).await;
    while_there_is_time(until, "telemetry", telemetry.flush()).await;
    outcome
}

/// Serves until told to stop, or until something fails. `until` becomes the instant at which the process must have ended, once
/// it is told to.
async fn serve<S: Service>(config: ServiceConfig, until: &mut Option<Instant>) -> anyhow::Result<()> {
    let url = config.bus.amqp_url.clone().context(
        "JIANGHAN_AMQP_URL is not set: a service in a process of its own needs RabbitMQ (`jianghan up` does not)",
    )?;
    let rabbit = RabbitConfig { groups: config.bus.groups, ..RabbitConfig::default() };
    let rabbit = RabbitMq::new(url.expose_secret(), S::NAME, rabbit)?;
    // Listened for before anybody can be served: until then a signal would end the process without an orderly stop.
    let mut signals = Signals::listen()?;
    let (bus, mut running) = tokio::select! {
        biased; // once it serves, it has started
        started = started::<S>(config, rabbit) => started?,
        () = signals.next() => die("told to stop before it served"),
    };
    let ended = tokio::select! {
        ended = running.ended() => ended,
        () = signals.next() => {
            tracing::info!("told to stop");
            let deadline = Instant::now() + STOP;
            *until = Some(deadline);
            running.tell_to_stop();
            tokio::select! {
                ended = running.ended() => ended,
                () = signals.next() => die("a second signal"),
                () = tokio::time::sleep_until(deadline) => die("the stop took too long"),
            }
        }
    };
    while_there_is_time(*until, "the bus", bus.close()).await;
    ended
}

async fn started<S: Service>(
    config: ServiceConfig,
    rabbit: RabbitMq,
) -> anyhow::Result<(Arc<dyn EventBus>, Running)> {
    // Declares what this build publishes before anything of it can be committed: until then a replica of an earlier build that
    // leads the relay would know nobody but analytics to take a new type to. Without a broker calls are served nevertheless.
    let _ = tokio::time::timeout(Duration::from_secs(10), rabbit.check()).await;
    let bus: Arc<dyn EventBus> = Arc::new(rabbit);
    let running = start::<S>(config, Wiring::new(bus.clone())).await?;
    Ok((bus, running))
}

/// Does one of the last things of a stop, but does not hold up the end for it: the service's own work is done by then, and
/// whoever told it to stop would kill it.
async fn while_there_is_time(until: Option<Instant>, what: &str, last: impl Future<Output = ()>) {
    match until {
        Some(until) => {
            if tokio::time::timeout_at(until, last).await.is_err() {
                tracing::warn!(what, "was left when the stop had taken its time");
            }
        }
        None => last.await,
    }
}

/// Ends the process at once, with a failure.
fn die(why: &str) -> ! {
    tracing::error!(why, "ended without an orderly stop");
    std::process::exit(1)
}

/// SIGTERM and SIGINT (Ctrl-C), each of which asks for a stop. None is missed once this is there.
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Begins to listen; from here on neither ends the process by itself.
    ///
    /// # Errors
    /// When the system does not let them be listened for.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Resolves at the next SIGTERM or SIGINT (Ctrl-C) after it was first polled.
pub async fn shutdown_signal() {
    match Signals::listen() {
        Ok(mut signals) => signals.next().await,
        Err(error) => {
            tracing::error!(%error, "signals cannot be listened for");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::start::FINISH;

    #[test]
    fn a_stop_takes_no_longer_than_is_promised_and_every_part_of_it_has_its_time() {
        assert!(STOP <= Duration::from_secs(25));
        let grpc = ServiceConfig::for_service("identity").grpc;
        let calls = Duration::from_millis(grpc.stop_timeout_ms) + Duration::from_secs(1);
        assert!(calls + 3 * FINISH < STOP, "calls in hand, then consumers, tasks and the relay: {calls:?}");
    }

    #[tokio::test]
    async fn the_last_things_of_a_stop_do_not_hold_up_its_end() {
        let soon = Instant::now() + Duration::from_millis(20);
        let hangs = while_there_is_time(Some(soon), "the bus", std::future::pending());
        tokio::time::timeout(Duration::from_secs(5), hangs).await.expect("it is left");
        let mut done = 0;
        // Time that is over leaves what is done at once.
        while_there_is_time(Some(soon), "telemetry", async { done += 1 }).await;
        while_there_is_time(None, "telemetry", async { done += 1 }).await;
        assert_eq!(done, 2);
    }
}
