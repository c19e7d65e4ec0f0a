//! The layer around a handler that answers, hangs, panics or tells who called.

use tower::ServiceExt;

use super::*;
use crate::{
    auth::{AUDIENCE, Caller, Claims, GrantClaim, KeySource, Role, Signer, TokenKind, Verifier, jwks},
    clock::{Clock, new_id},
    grpc::longest_wait,
};

const STATISTICS: &str = "/jianghan.ops.v1.OpsService/GetStatistics";
const SIGN_IN: &str = "/jianghan.identity.v1.AuthService/SignIn";
const WAIT_CASE: &str = "/jianghan.case_routing.v1.CaseService/WaitCase";

fn layer(change: impl FnOnce(&mut ServiceConfig)) -> (GuardLayer, Signer) {
    under(Pressure::default(), change)
}

fn under(pressure: Pressure, change: impl FnOnce(&mut ServiceConfig)) -> (GuardLayer, Signer) {
    let signer = Signer::from_seed(&[8; 32]).unwrap();
    let keys = KeySource::local();
    keys.replace(&jwks([&signer.jwk()])).unwrap();
    let mut config = ServiceConfig::for_service("test");
    change(&mut config);
    let verifier = Verifier::new(keys, Clock::system(), &config.auth);
    (GuardLayer::new(&config, Gate::new(verifier, Arc::default()), Arc::new(pressure)), signer)
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(format!("http://test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn call<F, Fut>(layer: &GuardLayer, handler: F, request: Request<Body>) -> Status
where
    F: FnMut(Request<Body>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let response = layer.layer(tower::service_fn(handler)).oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

/// The header of somebody with a role.
fn bearer(signer: &Signer, role: Role) -> String {
    let claims = Claims {
        sub: new_id(),
        kind: TokenKind::Person,
        grants: vec![GrantClaim(role as i32, new_id(), None, None, None)],
        ..Claims::service("x", "jianghan", AUDIENCE)
    };
    let token = signer.sign(&claims.valid_for(Clock::system().real_now(), 60)).unwrap();
    format!("Bearer {token}")
}

async fn fine(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

#[tokio::test]
async fn a_handler_sees_its_caller() {
    let (layer, signer) = layer(|_| {});
    let claims = Claims {
        sub: new_id(),
        kind: TokenKind::Person,
        grants: vec![GrantClaim(Role::ItOperator as i32, new_id(), None, None, None)],
        ..Claims::service("x", "jianghan", AUDIENCE)
    };
    let token = signer.sign(&claims.clone().valid_for(Clock::system().real_now(), 60)).unwrap();
    let person = claims.sub;
    let handler = move |request: Request<Body>| async move {
        let caller = request.extensions().get::<Caller>().expect("admitted");
        assert_eq!(caller.person_id, person);
        Ok(Response::new(Body::empty()))
    };
    let header = format!("Bearer {token}");
    let status = call(&layer, handler, request(STATISTICS, &[("authorization", &header)])).await;
    assert_eq!(status.code(), Code::Ok);
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test]
async fn who_is_not_admitted_does_not_reach_the_handler() {
    let (layer, _) = layer(|_| {});
    let never = |_: Request<Body>| async { unreachable!("not admitted") };
    assert_eq!(call(&layer, never, request(STATISTICS, &[])).await.code(), Code::Unauthenticated);
    assert_eq!(call(&layer, never, request("/no.Such/Method", &[])).await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_panic_becomes_internal_with_fixed_text() {
    let (layer, _) = layer(|_| {});
    let panics = |_: Request<Body>| async { panic!("the secret is 42") };
    let status = call(&layer, panics, request(SIGN_IN, &[])).await;
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test]
async fn the_shorter_deadline_holds() {
    let (layer, _) = layer(|config| config.grpc.request_timeout_ms = 5_000);
    let hangs = |_: Request<Body>| std::future::pending();
    // Far enough apart for a machine that stands still now and then.
    let calls = [(None, 5_000), (Some("20m"), 20), (Some("1H"), 5_000), (Some("x"), 5_000)];
    let calls = calls.map(|(timeout, least)| {
        let headers: Vec<_> = timeout.map(|t| ("grpc-timeout", t)).into_iter().collect();
        let call = call(&layer, hangs, request(SIGN_IN, &headers));
        async move {
            let start = Instant::now();
            assert_eq!(call.await.code(), Code::DeadlineExceeded);
            let (took, most) = (start.elapsed().as_millis(), if least < 5_000 { 5_000 } else { 60_000 });
            assert!((least..most).contains(&took), "{timeout:?}: {took} ms");
        }
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn beyond_the_limit_calls_are_refused_with_a_time_to_wait() {
    use tonic_types::StatusExt;
    let (layer, _) = layer(|config| config.grpc.max_in_flight = 1);
    let (begun, mut waiting) = tokio::sync::mpsc::channel(1);
    let hangs = move |_: Request<Body>| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            std::future::pending().await
        }
    };
    let first = tokio::spawn({
        let layer = layer.clone();
        async move { call(&layer, hangs, request(SIGN_IN, &[])).await }
    });
    waiting.recv().await.unwrap();
    let status = call(&layer, fine, request(SIGN_IN, &[])).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    first.abort();
    first.await.unwrap_err();
    assert_eq!(
        call(&layer, fine, request(SIGN_IN, &[])).await.code(),
        Code::Ok,
        "a cancelled call makes room"
    );
}

#[tokio::test]
async fn calls_that_wait_are_counted_and_limited_apart_from_those_that_work() {
    let (layer, signer) = layer(|config| config.grpc.max_in_flight = 1);
    let bearer = bearer(&signer, Role::StreetDispatcher);
    let waits = || request(WAIT_CASE, &[("authorization", &bearer)]);
    let works = || request(SIGN_IN, &[]);
    let (begun, mut reached) = tokio::sync::mpsc::channel(1);
    let hangs = move |_: Request<Body>| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            std::future::pending().await
        }
    };
    let begin = |request: Request<Body>| {
        let (layer, hangs) = (layer.clone(), hangs.clone());
        tokio::spawn(async move { call(&layer, hangs, request).await })
    };
    let waiting = begin(waits());
    reached.recv().await.unwrap();
    assert_eq!(call(&layer, fine, waits()).await.code(), Code::ResourceExhausted, "one waits already");
    assert_eq!(call(&layer, fine, works()).await.code(), Code::Ok, "it takes no place of those that work");
    let working = begin(works());
    reached.recv().await.unwrap();
    assert_eq!(layer.in_flight(), 2);
    assert_eq!(call(&layer, fine, works()).await.code(), Code::ResourceExhausted, "one works already");
    waiting.abort();
    waiting.await.unwrap_err();
    assert_eq!(call(&layer, fine, waits()).await.code(), Code::Ok, "what works takes no place of what waits");
    working.abort();
    working.await.unwrap_err();
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test]
async fn only_calls_that_wait_are_told_how_long_they_may_and_it_is_less_than_they_have() {
    let (layer, signer) = layer(|config| config.grpc.request_timeout_ms = 10_000);
    let bearer = bearer(&signer, Role::StreetDispatcher);
    for (path, timeout, granted) in [
        (WAIT_CASE, None, 8_000),
        (WAIT_CASE, Some("5S"), 4_000),
        (WAIT_CASE, Some("1M"), 8_000),
        (SIGN_IN, Some("5S"), 0),
    ] {
        let told = move |request: Request<Body>| async move {
            let longest = longest_wait(&tonic::Request::from_http(request));
            assert_eq!(longest, Duration::from_millis(granted));
            Ok(Response::new(Body::empty()))
        };
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(timeout.map(|timeout| ("grpc-timeout", timeout)));
        let status = call(&layer, told, request(path, &headers)).await;
        assert_eq!(status.code(), Code::Ok, "{path} with {timeout:?}");
    }
}

#[tokio::test]
async fn under_pressure_new_work_is_refused_before_its_token_is_looked_at_and_let_in_when_it_comes_again() {
    use tonic_types::StatusExt;
    let (layer, _) = under(Pressure::overloaded(), |_| {});
    let register = "/jianghan.case_routing.v1.CaseService/RegisterCase";
    let never = |_: Request<Body>| async { unreachable!("it has no token") };
    let refused = call(&layer, never, request(register, &[])).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let told = refused.get_details_retry_info().and_then(|info| info.retry_delay).unwrap();
    let early = call(&layer, never, request(register, &[(ATTEMPTS_HEADER, "1")])).await;
    assert_eq!(early.code(), Code::ResourceExhausted, "its time has not come");
    tokio::time::sleep(told).await;
    let again = call(&layer, never, request(register, &[(ATTEMPTS_HEADER, "1")])).await;
    assert_eq!(again.code(), Code::Unauthenticated, "let in as far as the token");
    let once = call(&layer, never, request(register, &[(ATTEMPTS_HEADER, "1")])).await;
    assert_eq!(once.code(), Code::ResourceExhausted, "one place, one call");
    assert_eq!(
        call(&layer, fine, request(SIGN_IN, &[])).await.code(),
        Code::Ok,
        "what begins nothing goes on"
    );
}

#[test]
fn timeouts_are_read_as_grpc_writes_them() {
    assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
    assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    for text in ["", "m", "123456789S", "1x", "-1S", "1é", "٣S"] {
        assert_eq!(parse_timeout(text), None, "{text}");
    }
}
