//! Traces and metrics arrive at an OTLP receiver: one trace from the caller's `traceparent` through the RPC to the event
//! it writes and the event's handling, the duration of calls by method and status, and what the event spine holds. In a
//! process of its own, because the collector of spans is global.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chassis::{
    Built, Context, Result, RoutesBuilder, Service,
    auth::Role,
    clock::new_id,
    config::TelemetryConfig,
    db::Tx,
    event::{Emit, Event},
    inbox::Consumer,
    telemetry,
    testing::{Persona, TestService},
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{metric::Data, number_data_point},
    trace::v1::Span,
};
use proto::{
    identity::v1::{UnitChanged, UnitMerged},
    ops::v1::{GetClockRequest, ops_service_client::OpsServiceClient},
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<Span>>>,
    calls: Arc<Mutex<Vec<Vec<KeyValue>>>>,
    /// Events of which it was told how late they were handled.
    lags: Arc<Mutex<u64>>,
    /// By metric and service.
    gauges: Arc<Mutex<BTreeMap<(String, String), i64>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|r| r.scope_spans);
        self.spans.lock().unwrap().extend(spans.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> std::result::Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|r| r.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            match (metric.name.as_str(), metric.data) {
                ("rpc.server.call.duration", Some(Data::Histogram(histogram))) => {
                    let mut calls = self.calls.lock().unwrap();
                    calls.extend(histogram.data_points.into_iter().map(|point| point.attributes));
                }
                ("jianghan.inbox.lag", Some(Data::Histogram(histogram))) => {
                    let counts = histogram.data_points.iter().map(|point| point.count);
                    *self.lags.lock().unwrap() = counts.sum();
                }
                (name, Some(Data::Gauge(gauge))) => {
                    let mut gauges = self.gauges.lock().unwrap();
                    for point in gauge.data_points {
                        let service = text(&point.attributes, "jianghan.service").unwrap();
                        let value = match point.value {
                            Some(number_data_point::Value::AsInt(value)) => value,
                            Some(number_data_point::Value::AsDouble(value)) => value as i64,
                            None => continue,
                        };
                        gauges.insert((name.to_owned(), service), value);
                    }
                }
                _ => {}
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// Answers each unit by an event of its own.
struct App;

impl Service for App {
    const NAME: &'static str = "case-routing";

    fn migrations() -> EmbeddedMigrations {
        embed_migrations!("src/testing/no_migrations")
    }

    async fn build(_context: Context) -> anyhow::Result<Built> {
        Ok(Built::new(RoutesBuilder::default()).consumer(Answering))
    }
}

struct Answering;

#[async_trait]
impl Consumer for Answering {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        for event in events.iter().filter(|event| event.is::<UnitChanged>()) {
            let merged = UnitMerged { unit_id: event.partition_key.to_string(), ..UnitMerged::default() };
            tx.emit(Emit::new(event.partition_key, 2, &merged));
        }
        Ok(())
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|a| a.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_metrics_arrive_at_a_receiver() {
    let receiver = Receiver::default();
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("http://{}", incoming.local_addr().unwrap());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .serve_with_incoming(incoming),
    );
    let config = TelemetryConfig {
        otlp_endpoint: Some(endpoint.clone()),
        metric_interval_ms: 60_000,
        ..TelemetryConfig::default()
    };
    let telemetry = telemetry::init("test", &config).unwrap();
    let service = TestService::<App>::builder()
        .configure(move |config| config.telemetry.otlp_endpoint = Some(endpoint))
        .start()
        .await;

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let operator = Persona::new(Role::ItOperator, new_id());
    let mut client = OpsServiceClient::new(service.call_as(&operator));
    let mut request = Request::new(GetClockRequest {});
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    client.get_clock(request).await.unwrap();
    OpsServiceClient::new(service.call_anonymously()).get_clock(GetClockRequest {}).await.unwrap_err();

    // An event with a trace keeps it through its handling to the event that the handler emits.
    let key = new_id();
    let unit = proto::identity::v1::Unit { unit_id: key.to_string(), version: 1, ..Default::default() };
    let message = UnitChanged { unit_id: key.to_string(), unit: Some(unit) };
    let mut event = Event::of("identity", service.clock().now(), key, 1, &message);
    event.traceparent = Some(traceparent.clone());
    service.deliver(event).await;
    let emitted = service.drain_outbox().await;
    assert_eq!(emitted.len(), 1);
    let onward = emitted[0].traceparent.clone().expect("the follow-up carries the trace");
    assert!(onward.contains(trace), "{onward}");

    // What the spine holds at the end: one event that nobody relays, and one that cannot be handled.
    let (key, broken) = (new_id(), new_id());
    let unit = proto::identity::v1::Unit { unit_id: key.to_string(), version: 1, ..Default::default() };
    let message = UnitChanged { unit_id: key.to_string(), unit: Some(unit) };
    service.deliver(Event::of("identity", service.clock().now(), key, 1, &message)).await;
    let message = UnitChanged::default();
    service.deliver(Event::of("identity", service.clock().now(), broken, 1, &message)).await;

    service.stop().await;
    tokio::time::timeout(Duration::from_secs(20), telemetry.flush()).await.unwrap();

    let spans = receiver.spans.lock().unwrap().clone();
    let rpc = spans
        .iter()
        .find(|span| span.name == "jianghan.ops.v1.OpsService/GetClock" && hex(&span.trace_id) == trace)
        .expect("the RPC's span is in the caller's trace");
    assert_eq!(hex(&rpc.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(text(&rpc.attributes, "rpc.response.status_code").as_deref(), Some("OK"));
    assert!(
        onward.contains(&hex(&spans
            .iter()
            .find(|s| s.name != rpc.name && hex(&s.trace_id) == trace)
            .expect("a span of the handling")
            .span_id)),
        "the follow-up's parent is the handling's span"
    );
    let calls = receiver.calls.lock().unwrap().clone();
    for status in ["OK", "UNAUTHENTICATED"] {
        assert!(
            calls.iter().any(|labels| {
                text(labels, "rpc.method").as_deref() == Some("jianghan.ops.v1.OpsService/GetClock")
                    && text(labels, "rpc.response.status_code").as_deref() == Some(status)
            }),
            "{status} is counted: {calls:?}"
        );
    }
    let gauges = receiver.gauges.lock().unwrap().clone();
    let held = |name: &str| gauges.get(&(name.to_owned(), "case-routing".to_owned())).copied();
    assert_eq!(held("jianghan.outbox.backlog"), Some(1), "{gauges:?}");
    let waits = held("jianghan.events.parked").unwrap() + held("jianghan.events.dead").unwrap();
    assert_eq!((waits, held("jianghan.events.behind_dead")), (1, Some(0)), "{gauges:?}");
    // Nobody relays here, and what took events in has ended.
    for name in ["bus.flowing", "inbox.leased", "inbox.subscribed", "inbox.unattended", "clock.skew"] {
        assert_eq!(held(&format!("jianghan.{name}")), Some(0), "{name}: {gauges:?}");
    }
    assert!(*receiver.lags.lock().unwrap() >= 2, "those that were handled");
    let secrets = format!("{spans:?}{calls:?}");
    assert!(!secrets.contains(&operator.person_id.to_string()), "no person in telemetry");
}
