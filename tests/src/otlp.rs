//! A collector for spans and metrics: it takes what OTLP brings and keeps it in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
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
    metrics::v1::{Metric, NumberDataPoint, metric::Data, number_data_point},
    resource::v1::Resource,
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// One span that arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// Name of the process that sent it.
    pub process: String,
    /// Its name.
    pub name: String,
    /// Trace id as hex.
    pub trace_id: String,
    /// Span id as hex.
    pub span_id: String,
    /// Id of the parent as hex; empty for a root.
    pub parent_id: String,
    /// Trace ids of linked spans, as hex.
    pub links: Vec<String>,
    /// Attributes as text.
    pub attributes: Vec<(String, String)>,
}

impl Span {
    /// An attribute, as text.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        value_of(&self.attributes, key)
    }
}

/// Collects; clones share what is kept.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where to send, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    kept: Arc<Kept>,
}

/// Process, metric name, and the labels of one of its points.
type Point = (String, String, Vec<(String, String)>);

#[derive(Debug, Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    /// What was told of each point last; every interval brings all of them again.
    metrics: Mutex<BTreeMap<Point, f64>>,
    /// How often each process has told its metrics.
    exports: Mutex<BTreeMap<String, u64>>,
}

impl Receiver {
    /// Listens on a free port of loopback until the process ends.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).context("a port for the collector")?;
        let endpoint = format!("http://{}", incoming.local_addr().context("the collector's address")?);
        let receiver = Self { endpoint, kept: Arc::default() };
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(receiver.clone()))
                .add_service(MetricsServiceServer::new(receiver.clone()))
                .serve_with_incoming(incoming),
        );
        Ok(receiver)
    }

    /// Spans of one trace that have arrived.
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }

    /// Lets go of the spans that have arrived.
    pub fn forget(&self) {
        self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Label sets of a metric from one process.
    pub fn metric(&self, process: &str, name: &str) -> Vec<Vec<(String, String)>> {
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = metrics.keys().filter(|(from, metric, _)| from == process && metric == name);
        mine.map(|(_, _, labels)| labels.clone()).collect()
    }

    /// How many exports of metrics have arrived from a process. It sends one after the other, and measures for each anew.
    pub fn exports(&self, process: &str) -> u64 {
        let exports = self.kept.exports.lock().unwrap_or_else(PoisonError::into_inner);
        exports.get(process).copied().unwrap_or_default()
    }

    /// How a metric of one service stood when it was told last, in whatever process the service is.
    pub fn measured(&self, process: &str, name: &str, service: &str) -> Option<f64> {
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let found = metrics.iter().find(|((from, metric, labels), _)| {
            from == process && metric == name && value_of(labels, "jianghan.service") == Some(service)
        });
        found.map(|(_, value)| *value)
    }

    /// Everything that arrived, as text to search in.
    pub fn everything(&self) -> String {
        let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{spans:?} {metrics:?}") // of a lock that somebody holds nothing would be written
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let process = service_name(resource.resource.as_ref());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                kept.push(Span {
                    process: process.clone(),
                    name: span.name,
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_id: hex(&span.parent_span_id),
                    links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
                    attributes: texts(&span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> std::result::Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut kept = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut senders = BTreeSet::new();
        for resource in request.into_inner().resource_metrics {
            let process = service_name(resource.resource.as_ref());
            senders.insert(process.clone());
            for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                for (labels, value) in points(&metric) {
                    kept.insert((process.clone(), metric.name.clone(), labels), value);
                }
            }
        }
        drop(kept);
        let mut exports = self.kept.exports.lock().unwrap_or_else(PoisonError::into_inner);
        for process in senders {
            *exports.entry(process).or_default() += 1;
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The labels of each point with its value; of a histogram, how often something was measured.
fn points(metric: &Metric) -> Vec<(Vec<(String, String)>, f64)> {
    let numbers = |points: &[NumberDataPoint]| -> Vec<_> {
        points.iter().map(|point| (texts(&point.attributes), number(point))).collect()
    };
    match &metric.data {
        Some(Data::Histogram(data)) => {
            let points = data.data_points.iter();
            points.map(|point| (texts(&point.attributes), point.count as f64)).collect()
        }
        Some(Data::Sum(data)) => numbers(&data.data_points),
        Some(Data::Gauge(data)) => numbers(&data.data_points),
        _ => Vec::new(),
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    }
}

fn value_of<'a>(labels: &'a [(String, String)], key: &str) -> Option<&'a str> {
    labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

fn service_name(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
    attributes.into_iter().find(|(key, _)| key == "service.name").map(|(_, name)| name).unwrap_or_default()
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
