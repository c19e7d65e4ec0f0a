//! Every public RPC as REST/JSON, from the descriptors alone: adding an annotated RPC adds its route. The edge carries
//! the caller's token on; each service checks it for itself.

pub mod binding;
mod codec;
pub mod json;
pub mod openapi;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chassis::pressure::ATTEMPTS_HEADER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tonic::{client::Grpc, transport::Channel};

use self::{
    binding::{Binding, Match},
    codec::DynamicCodec,
};
use crate::{App, MAX_ANSWER, clients::Client, headers::Route, problem::Problem};

/// Largest JSON body, in bytes.
const MAX_BODY: usize = 1 << 20;
/// Most calls that wait at once. With the board's windows on cases they are fewer than what a service takes on one connection
/// (`[grpc] max_streams`).
pub(crate) const MOST_WAITS: usize = 100;
/// Most of them of one person.
pub(crate) const MOST_WAITS_OF_ONE: usize = 16;
const SIGN_IN: &str = "jianghan.identity.v1.AuthService.SignIn";
/// The RPCs that cost identity a hash of whatever password somebody sends.
const TRY_PASSWORDS: [&str; 2] = [SIGN_IN, "jianghan.identity.v1.AuthService.ChangePassword"];
/// When to come again where too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Serves everything under `/v1`.
pub async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let mut route = String::new();
    let mut response = match call(&app, request, &mut route).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(problem) => problem.into_response(),
    };
    if !route.is_empty() {
        response.extensions_mut().insert(Route(route));
    }
    response
}

async fn call(app: &App, request: Request, route: &mut String) -> Result<Vec<u8>, Box<Problem>> {
    let (parts, body) = request.into_parts();
    let (binding, variables) = match app.bindings.find(&parts.method, parts.uri.path()) {
        Match::Found(binding, variables) => (binding, variables),
        Match::OtherVerbs(verbs) => return Err(Problem::wrong_verb(&verbs)),
        Match::Nothing => return Err(Problem::no_route()),
    };
    route.clone_from(&binding.template);
    let body = if binding.body { Some(read(body).await?) } else { None };
    let query = parts.uri.query().unwrap_or_default();
    let message = json::request(&binding.method.input(), variables, body.as_deref(), query)?;
    // Held until the answer is there.
    let _place = if binding.waits {
        Some(app.rest_waits.take(token(&parts.headers)).ok_or_else(too_many)?)
    } else {
        None
    };
    let tried = if TRY_PASSWORDS.contains(&binding.method.full_name()) {
        let login = message.get_field_by_name("login");
        let login = login.as_deref().and_then(prost_reflect::Value::as_str);
        Some(Client::of(app, &parts).tries(app, login)?)
    } else {
        None
    };
    let answer = unary(app, binding, message, &parts.headers).await;
    if let Some(tried) = tried {
        match &answer {
            Ok(_) => tried.ended(true),
            // Whoever changes a password may be refused for a token, and only tries their own.
            Err(problem)
                if binding.method.full_name() == SIGN_IN
                    && problem.status == StatusCode::UNAUTHORIZED.as_u16() =>
            {
                tried.ended(false);
            }
            Err(_) => {}
        }
    }
    json::answer(&answer?).map_err(|error| {
        tracing::error!(rpc.method = binding.method.full_name(), %error, "an answer has no JSON form");
        Problem::internal()
    })
}

/// The access token, as services read it; empty where none of them would find one.
fn token(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token.trim())
}

pub(crate) fn too_many() -> tonic::Status {
    chassis::Error::Exhausted { retry_after: RETRY_AFTER }.into()
}

async fn read(body: Body) -> Result<Vec<u8>, Box<Problem>> {
    to_bytes(body, MAX_BODY).await.map(Into::into).map_err(|_| Problem::too_large(MAX_BODY))
}

async fn unary(
    app: &App,
    binding: &Binding,
    message: prost_reflect::DynamicMessage,
    headers: &HeaderMap,
) -> Result<prost_reflect::DynamicMessage, Box<Problem>> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(Duration::from_secs(15));
    let metadata = request.metadata_mut().as_mut();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        metadata.insert(header::AUTHORIZATION, value.clone());
    }
    // Who was refused before and comes back when told to is let in first.
    if let Some(value) = headers.get(ATTEMPTS_HEADER) {
        metadata.insert(HeaderName::from_static(ATTEMPTS_HEADER), value.clone());
    }
    // Without a collector here the caller's trace goes on as it came.
    let own = chassis::telemetry::current_traceparent().and_then(|text| HeaderValue::from_str(&text).ok());
    if let Some(value) = own.or_else(|| headers.get(&TRACEPARENT).cloned()) {
        metadata.insert(TRACEPARENT, value);
    }
    let channel: Channel =
        if binding.waits { app.waiting_channel(binding.service) } else { app.channel(binding.service) };
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER);
    client.ready().await.map_err(|_| tonic::Status::unavailable("the service does not answer"))?;
    let codec = DynamicCodec(binding.method.output());
    let answer =
        client.unary(request, binding.path.clone(), codec).await.map_err(unreachable_is_unavailable)?;
    Ok(answer.into_inner())
}

/// A transport failure is the service's absence, not a fault to describe to callers.
pub(crate) fn unreachable_is_unavailable(status: tonic::Status) -> tonic::Status {
    use std::error::Error;
    if status.source().is_some() && status.code() != tonic::Code::DeadlineExceeded {
        return tonic::Status::unavailable("the service does not answer");
    }
    status
}
