//! Logs, traces and metrics. Logs go to standard error, compact or as JSON; traces and metrics go out over OTLP and
//! are off without an endpoint. Spans carry the target [`SPAN`] so that they cost nothing when nobody collects them.
//! Personal data never enters a log field, a span or a metric.

use std::{panic, sync::Mutex, thread, time::Duration};

use anyhow::Context as _;
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, filter::FilterFn, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    Error,
    config::{LogFormat, TelemetryConfig},
};

/// Target of every span of the house: collected for OTLP, left out of the log.
pub const SPAN: &str = "jianghan::span";

/// How long the last batch may take to leave.
const FLUSH: Duration = Duration::from_secs(5);

/// Keeps the exporters; flush it before the process ends.
#[derive(Debug, Default)]
pub struct Telemetry(Mutex<Option<Providers>>);

#[derive(Debug)]
struct Providers {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

/// Installs logging and, with an endpoint, OTLP for the process. `process` becomes `service.name`. A second call in
/// one process (tests) keeps what is there. Must be called within a tokio runtime when there is an endpoint.
///
/// # Errors
/// When the filter or the endpoint has no acceptable form.
pub fn init(process: &str, config: &TelemetryConfig) -> anyhow::Result<Telemetry> {
    let mut filter = EnvFilter::try_new(&config.log).context("JIANGHAN_LOG is not a filter")?;
    if !config.log.contains(SPAN) {
        filter = filter.add_directive(format!("{SPAN}=off").parse().context("the span directive")?);
    }
    let log = match config.log_format {
        LogFormat::Compact => tracing_subscriber::fmt::layer()
            .compact()
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed(),
    };
    let Some(endpoint) = &config.otlp_endpoint else {
        tracing_subscriber::registry().with(log).try_init().ok(); // already there in tests
        return Ok(Telemetry::default());
    };

    let resource = Resource::builder()
        .with_service_name(process.to_owned())
        .with_attribute(KeyValue::new("service.namespace", "jianghan"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", crate::clock::new_id().to_string()))
        .build();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.clone())
        .with_timeout(FLUSH)
        .build()
        .context("the OTLP endpoint for traces")?;
    let traces = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
        .with_resource(resource.clone())
        .build();
    let exporter = opentelemetry_otlp::MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.clone())
        .with_timeout(FLUSH)
        .build()
        .context("the OTLP endpoint for metrics")?;
    let reader = PeriodicReader::builder(exporter)
        .with_interval(Duration::from_millis(config.metric_interval_ms))
        .build();
    let metrics = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
    opentelemetry::global::set_meter_provider(metrics.clone());

    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer("jianghan"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(FilterFn::new(ours as fn(&Metadata<'_>) -> bool));
    tracing_subscriber::registry().with(log).with(spans).try_init().ok(); // already there in tests
    Ok(Telemetry(Mutex::new(Some(Providers { traces, metrics }))))
}

/// From now on the log has where a thread panicked. What it said may hold data, and the usual hook prints it to standard error, where
/// the log goes. For a `main`, once logging is there: in a test the panic is what failed, and has to be read.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let location = panic.location().map(tracing::field::display);
        tracing::error!(thread = thread.name(), location, "a thread panicked");
    }));
}

fn ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == SPAN
}

impl Telemetry {
    /// Sends what is left, for at most five seconds. The exporters block, so they run beside the runtime's workers.
    pub async fn flush(&self) {
        let providers = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(Providers { traces, metrics }) = providers else { return };
        let flushing = tokio::task::spawn_blocking(move || {
            (traces.shutdown_with_timeout(FLUSH), metrics.shutdown_with_timeout(FLUSH))
        });
        match tokio::time::timeout(FLUSH, flushing).await {
            Ok(Ok((Ok(()), Ok(())))) => {}
            Ok(Ok((traces, metrics))) => tracing::warn!(?traces, ?metrics, "telemetry was not flushed"),
            Ok(Err(lost)) => {
                tracing::warn!(error = %Error::task(lost).chain(), "telemetry was not flushed");
            }
            Err(_) => tracing::warn!("telemetry was not flushed in time"),
        }
    }
}

/// W3C `traceparent` of the span in hand, for outbox rows and outgoing calls; `None` when nothing collects it.
pub fn current_traceparent() -> Option<String> {
    traceparent_of(&Span::current())
}

/// W3C `traceparent` of a span; `None` when nothing collects it.
pub fn traceparent_of(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let at = span.span_context();
    at.is_valid().then(|| format!("00-{}-{}-{:02x}", at.trace_id(), at.span_id(), at.trace_flags()))
}

/// Makes the span with this `traceparent` the parent of `span`; anything malformed is ignored, as W3C asks.
pub fn set_parent_from(span: &Span, traceparent: &str) {
    if span.is_disabled() {
        return;
    }
    if let Some(parent) = parse_traceparent(traceparent) {
        let _ = span.set_parent(Context::new().with_remote_span_context(parent)); // fails only without a collector
    }
}

fn parse_traceparent(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |s: &str, len: usize| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex(version, 2) || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    if !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

/// Resident memory of the process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<i64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_in_and_out_of_a_span() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing_subscriber::registry().with(layer).set_default();
        let span = tracing::info_span!(target: SPAN, "work");
        set_parent_from(&span, PARENT);
        let _entered = span.enter();
        let child = current_traceparent().unwrap();
        assert_eq!(child[..36], PARENT[..36], "one trace");
        assert_ne!(child[36..52], PARENT[36..52], "another span");
        assert!(child.ends_with("-01"), "the caller's decision to sample is followed");
    }

    #[test]
    fn without_a_collector_there_is_no_trace() {
        let _guard = tracing_subscriber::registry().set_default();
        let span = tracing::info_span!(target: SPAN, "work");
        set_parent_from(&span, PARENT);
        assert_eq!(span.in_scope(current_traceparent), None);
    }

    #[test]
    fn malformed_parents_are_ignored() {
        assert!(parse_traceparent(PARENT).is_some());
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473+-00f067aa0ba902b7-01",
        ] {
            assert!(parse_traceparent(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_process_has_memory() {
        assert!(resident_bytes() > 1 << 20);
    }
}
