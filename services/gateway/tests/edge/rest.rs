//! REST to gRPC: what reaches the services, what comes back, and how the edge refuses.

use proto::{
    case_routing::v1::{
        Case, CaseState, GetCaseRequest, GetCaseResponse, ListCasesRequest, ListCasesResponse,
        WaitCaseRequest, WaitCaseResponse,
    },
    identity::v1::{SignInRequest, SignInResponse},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canned::{LI, WANG, token_of},
    fakes::{Edge, json},
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_call_reaches_its_rpc_with_the_callers_token_and_trace_and_comes_back_as_json() {
    let edge = Edge::start().await;
    let case = Case { case_id: "c-1".into(), state: CaseState::InProgress.into(), ..Default::default() };
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(case) });
    let request = edge.get("/v1/cases/c%2D1").bearer_auth("abc.def.ghi").header("traceparent", TRACE);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = json(response).await;
    assert_eq!(
        (&body["case"]["caseId"], &body["case"]["state"]),
        (&"c-1".into(), &"CASE_STATE_IN_PROGRESS".into())
    );
    assert_eq!(body["case"]["anonymous"], false, "fields at their default are written");

    let calls = edge.services.calls("GetCase");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].decode::<GetCaseRequest>().case_id, "c-1");
    assert_eq!(calls[0].header("authorization").as_deref(), Some("Bearer abc.def.ghi"));
    let trace = calls[0].header("traceparent").expect("the trace goes on");
    assert_eq!(&trace[..36], &TRACE[..36], "the same trace");
    assert!(calls[0].header("grpc-timeout").is_some(), "no call without a deadline");
}

#[tokio::test]
async fn queries_bodies_and_verbs_are_mapped() {
    let edge = Edge::start().await;
    edge.services.answer("ListCases", &ListCasesResponse::default());
    let path = "/v1/cases?pageSize=7&states=CASE_STATE_SIGNED&states=CASE_STATE_CLOSED&overdue=true&page_token=a%2Bb";
    let response = edge.get(path).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let asked: ListCasesRequest = edge.services.calls("ListCases")[0].decode();
    assert_eq!((asked.page_size, asked.overdue, asked.page_token.as_str()), (7, true, "a+b"));
    assert_eq!(asked.states, [CaseState::Signed as i32, CaseState::Closed as i32]);

    edge.services.answer("SignIn", &SignInResponse { access_token: "t".into(), ..Default::default() });
    let request = edge.post("/v1/auth:signIn").body(r#"{"login":"li","password":"secret"}"#);
    assert_eq!(json(request.send().await.expect("an answer")).await["accessToken"], "t");
    let asked: SignInRequest = edge.services.calls("SignIn")[0].decode();
    assert_eq!((asked.login.as_str(), asked.password.as_str()), ("li", "secret"));
    assert_eq!(edge.services.calls("SignIn")[0].header("authorization"), None);
}

#[tokio::test]
async fn a_wait_reaches_its_rpc_with_what_is_known_and_for_how_long() {
    let edge = Edge::start().await;
    let case = Case { case_id: "c-1".into(), etag: "8".into(), ..Default::default() };
    edge.services.answer("WaitCase", &WaitCaseResponse { case: Some(case), changed: true });
    for query in ["after_etag=7&wait_seconds=5", "afterEtag=7&waitSeconds=5"] {
        let request = edge.get(&format!("/v1/cases/c-1:wait?{query}")).bearer_auth("abc.def.ghi");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{query}");
        let body = json(response).await;
        assert_eq!((&body["changed"], &body["case"]["etag"]), (&true.into(), &"8".into()), "{query}");
    }
    for call in edge.services.calls("WaitCase") {
        let asked: WaitCaseRequest = call.decode();
        assert_eq!((asked.case_id.as_str(), asked.after_etag.as_str(), asked.wait_seconds), ("c-1", "7", 5));
        assert_eq!(call.header("authorization").as_deref(), Some("Bearer abc.def.ghi"));
        assert!(call.header("grpc-timeout").is_some(), "the service answers before the edge gives up");
    }
    assert_eq!(edge.services.calls("WaitCase").len(), 2);
    let response = edge.post("/v1/cases/c-1:wait").send().await.expect("an answer");
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET");
}

#[tokio::test]
async fn calls_that_wait_are_limited_and_take_no_room_from_those_that_work() {
    let edge = Edge::start().await;
    edge.services.answer("WaitCase", &WaitCaseResponse::default());
    edge.services.answer("GetCase", &GetCaseResponse::default());
    edge.services.hold("WaitCase");
    // Everybody for themselves.
    let wait = |case: &str| edge.get(&format!("/v1/cases/{case}:wait")).bearer_auth(case).send();
    let waiting: Vec<_> = (0..100).map(|n| tokio::spawn(wait(&format!("c-{n}")))).collect();
    edge.services.asked("WaitCase", 100).await;
    let refused = wait("x").await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(json(refused).await["code"], "RESOURCE_EXHAUSTED");
    assert_eq!(edge.get("/v1/cases/x").send().await.expect("an answer").status(), 200);
    edge.services.release("WaitCase");
    for waited in waiting {
        assert_eq!(waited.await.expect("it ends").expect("an answer").status(), 200);
    }
    assert_eq!(wait("x").await.expect("an answer").status(), 200, "there is room again");
    assert_eq!(edge.services.calls("WaitCase").len(), 101, "what was refused was asked of nobody");
}

#[tokio::test]
async fn a_person_has_so_many_calls_that_wait_however_often_they_sign_in() {
    let edge = Edge::start().await;
    edge.services.answer("WaitCase", &WaitCaseResponse::default());
    edge.services.hold("WaitCase");
    let wait = |person: &str, session: usize| {
        edge.get("/v1/cases/x:wait").bearer_auth(token_of(person, session)).send()
    };
    let waiting: Vec<_> = (0..16).map(|session| tokio::spawn(wait(LI, session))).collect();
    edge.services.asked("WaitCase", 16).await;
    assert_eq!(wait(LI, 16).await.expect("an answer").status(), 429);
    let other = tokio::spawn(wait(WANG, 0));
    edge.services.asked("WaitCase", 17).await;
    edge.services.release("WaitCase");
    for waited in waiting.into_iter().chain([other]) {
        assert_eq!(waited.await.expect("it ends").expect("an answer").status(), 200);
    }
    assert_eq!(wait(LI, 16).await.expect("an answer").status(), 200, "there is room again");
    assert_eq!(edge.services.calls("WaitCase").len(), 18, "what was refused was asked of nobody");
}

#[tokio::test]
async fn a_session_cookie_is_no_token() {
    let edge = Edge::start().await;
    edge.services.answer("ListCases", &ListCasesResponse::default());
    edge.get("/v1/cases").header("cookie", "jh_session=1-x").send().await.expect("an answer");
    assert_eq!(edge.services.calls("ListCases")[0].header("authorization"), None);
}

#[tokio::test]
async fn refusals_of_services_come_as_problems_with_json_names() {
    let edge = Edge::start().await;
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("place_unit_id", "no such unit");
    let statuses = [
        (Status::with_error_details(Code::InvalidArgument, "place_unit_id: no such unit", details), 400),
        (Status::unauthenticated("sign in first"), 401),
        (Status::permission_denied("not permitted"), 403),
        (Status::not_found("no such case"), 404),
        (Status::failed_precondition("not when closed"), 409),
        (Status::aborted("changed meanwhile"), 409),
        (Status::already_exists("exists"), 409),
        (Status::resource_exhausted("busy"), 429),
        (Status::internal("the request could not be completed"), 500),
        (Status::unimplemented("no"), 501),
        (Status::unavailable("later"), 503),
        (Status::deadline_exceeded("late"), 504),
    ];
    for (status, expected) in statuses {
        let code = status.code();
        edge.services.refuse("GetCase", status);
        let response = edge.get("/v1/cases/x").send().await.expect("an answer");
        assert_eq!(response.status(), expected, "{code:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers().contains_key("www-authenticate"), expected == 401);
        let problem = json(response).await;
        assert_eq!(problem["status"], expected);
        for member in ["type", "title", "detail", "code"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{code:?} has no {member}"
            );
        }
        if code == Code::InvalidArgument {
            assert_eq!(problem["errors"][0]["field"], "placeUnitId");
            assert_eq!(problem["detail"], "placeUnitId: no such unit");
        }
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_503_without_internals() {
    let edge = Edge::alone().await;
    let response = edge.get("/v1/cases/x").send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    let problem = json(response).await;
    assert_eq!(problem["code"], "UNAVAILABLE");
    assert_eq!(problem["detail"], "the service does not answer");
    let text = problem.to_string();
    for internal in ["127.0.0.1", "tcp", "connect", "transport", "os error"] {
        assert!(!text.contains(internal), "{text}");
    }
}

#[tokio::test]
async fn unknown_paths_wrong_verbs_and_too_large_bodies_are_refused() {
    let edge = Edge::start().await;
    for path in ["/v1/nothing", "/v1", "/v1/", "/nothing", "/v1/cases/x:fly", "/v1/cases/%zz"] {
        let response = edge.get(path).send().await.expect("an answer");
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(json(response).await["code"], "NOT_FOUND", "{path}");
    }
    let response = edge.http.delete(format!("{}/v1/cases", edge.url)).send().await.expect("an answer");
    assert_eq!(response.status(), 405);
    let allow = response.headers()["allow"].to_str().expect("text").to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    assert_eq!(json(response).await["status"], 405);
    let response = edge.post("/healthz").send().await.expect("an answer");
    assert_eq!(response.status(), 405);
    assert_eq!(json(response).await["status"], 405);

    let response = edge.post("/v1/cases").body(vec![b' '; (1 << 20) + 1]).send().await.expect("an answer");
    assert_eq!(response.status(), 413);
    let problem = json(response).await;
    assert_eq!(problem["detail"], "body: has at most 1 MiB");
    assert_eq!(problem["errors"], serde_json::json!([{ "field": "body", "message": "has at most 1 MiB" }]));
    assert!(edge.services.calls("RegisterCase").is_empty());
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let edge = Edge::start().await;
    let paths = [
        "/",
        "/login",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/asyncapi.json",
        "/static/board.css",
        "/v1/cases",
        "/v1/nothing",
        "/nothing",
        "/events",
        "/cases/x/events",
    ];
    for path in paths {
        let response = edge.get(path).send().await.expect("an answer");
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let csp = header("content-security-policy");
        assert!(
            csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("unsafe"), "{path}: {csp}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert!(!header("cache-control").is_empty(), "{path}");
        assert_eq!(header("strict-transport-security"), "", "{path}: not over plain HTTP");
    }
    let edge = Edge::reached_at(Some("https://board.example")).await;
    for path in ["/login", "/v1/nothing"] {
        let response = edge.get(path).send().await.expect("an answer");
        assert!(
            response.headers()["strict-transport-security"].to_str().expect("text").starts_with("max-age=")
        );
    }
}

#[tokio::test]
async fn probes_and_the_documents_need_no_service() {
    let edge = Edge::alone().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(edge.get(path).send().await.expect("an answer").status(), 200, "{path}");
    }
    let answer = edge.get("/openapi.json").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document = json(answer).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/cases/{case_id}"]["get"].is_object());
    let again = json(edge.get("/openapi.json").send().await.expect("an answer")).await;
    assert!(document == again, "whoever asks later is told the same");
    let answer = edge.get("/asyncapi.json").send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document = json(answer).await;
    assert_eq!(document["asyncapi"], "3.0.0");
    assert!(document["channels"]["case_routing.v1.CaseRegistered"].is_object());
}
