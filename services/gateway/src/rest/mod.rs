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
use prost_reflect::DynamicMessage;
use tonic::{client::Grpc, transport::Channel};
use uuid::Uuid;

use self::{
    binding::{Binding, Match},
    codec::DynamicCodec,
};
use crate::{
    App, MAX_ANSWER, clients::Client, failures::Failures, headers::Route, places::person, problem::Problem,
};

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
/// By which an administrator sets somebody's password anew.
const RESET: &str = "jianghan.identity.v1.PersonService.ResetPassword";
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
    let method = binding.method.full_name();
    let login = text(&message, "login").filter(|_| method == SIGN_IN);
    let tried = if TRY_PASSWORDS.contains(&method) {
        Some(Client::of(app, &parts).tries(app, login.as_deref())?)
    } else {
        None
    };
    let reset: Option<Uuid> =
        text(&message, "person_id").filter(|_| method == RESET).and_then(|id| id.parse().ok());
    let asked = unary(app, binding, message, &parts.headers);
    let answer = if let Some(tried) = tried {
        let (failures, own) = (app.failures.clone(), person(token(&parts.headers)));
        tried.outlives(asked, move |answer| right(&failures, login.as_deref(), own, answer)).await?
    } else {
        asked.await
    };
    if let Some(person) = reset.filter(|_| answer.is_ok()) {
        app.failures.set_anew(person);
    }
    json::answer(&answer?).map_err(|error| {
        tracing::error!(rpc.method = binding.method.full_name(), %error, "an answer has no JSON form");
        Problem::internal()
    })
}

/// Whether a password was right, by which somebody signs in at a login or changes the own one; nothing where that is not told.
fn right(
    failures: &Failures,
    login: Option<&str>,
    own: Option<Uuid>,
    answer: &Result<DynamicMessage, Box<Problem>>,
) -> Option<bool> {
    match (answer, login) {
        (Ok(answer), Some(login)) => {
            if let Some(person) = text(answer, "access_token").and_then(|token| person(&token)) {
                failures.learn(login, person);
            }
            Some(true)
        }
        (Ok(_), None) => {
            if let Some(own) = own {
                failures.set_anew(own);
            }
            Some(true)
        }
        (Err(problem), Some(_)) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => Some(false),
        // Whoever changes a password may be refused for a token, and only tries their own.
        (Err(_), _) => None,
    }
}

/// A field of a message, if it has one of this name and it is a text.
fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    message.get_field_by_name(field)?.as_str().map(str::to_owned)
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

/// The call, which holds on to nothing of the request that it is for.
fn unary(
    app: &App,
    binding: &Binding,
    message: DynamicMessage,
    headers: &HeaderMap,
) -> impl Future<Output = Result<DynamicMessage, Box<Problem>>> + Send + use<> {
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
    let (path, codec) = (binding.path.clone(), DynamicCodec(binding.method.output()));
    async move {
        let mut client = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER);
        client.ready().await.map_err(|_| tonic::Status::unavailable("the service does not answer"))?;
        let answer = client.unary(request, path, codec).await.map_err(unreachable_is_unavailable)?;
        Ok(answer.into_inner())
    }
}

/// A transport failure is the service's absence, not a fault to describe to callers.
pub(crate) fn unreachable_is_unavailable(status: tonic::Status) -> tonic::Status {
    use std::error::Error;
    if status.source().is_some() && status.code() != tonic::Code::DeadlineExceeded {
        return tonic::Status::unavailable("the service does not answer");
    }
    status
}
