//! F1 under one trace: a client puts its calls over REST into a trace of its own, and everything that they bring about stands in
//! it, each span below the one that caused it, through gRPC, outbox, bus and inbox of every service on the way.

use jianghan::{simulate::lead_task, suite::request_id};
use proto::{
    case_routing::v1::{AssignmentStatus, Case},
    volunteer_matching::v1::OfferState,
};
use serde_json::{Value, json};

use crate::{
    Person, World, eventually,
    journeys::{COMMUNITY, LAMP},
    otlp::Span,
};

/// The client's own span.
const CALLER: &str = "00f067aa0ba902b7";
/// Greening a courtyard: a social organisation is asked first.
const GREENING: &str = "CJ-0145";

/// Which part, and the name of its span.
type Step = (&'static str, &'static str);

const EDGE: Step = ("gateway", "http.request");
const REGISTER: Step = ("case-routing", "jianghan.case_routing.v1.CaseService/RegisterCase");
const ACCEPT: Step = ("case-routing", "jianghan.case_routing.v1.IntakeService/AcceptCase");
const TRIAGE: Step = ("case-routing", "jianghan.case_routing.v1.IntakeService/TriageCase");
const DISPATCH: Step = ("case-routing", "jianghan.case_routing.v1.IntakeService/DispatchCase");
const SIGN: Step = ("case-routing", "jianghan.case_routing.v1.TaskService/SignTask");
const SIGNED: Step = ("staffing", "process jianghan.case_routing.v1.TaskSigned");
const ASSIGN: &str = "process jianghan.staffing.v1.AssignmentOffered";
const ANSWER: Step = ("volunteer-matching", "jianghan.volunteer_matching.v1.OfferService/AcceptOffer");
const ANSWERED: Step = ("case-routing", "process jianghan.volunteer_matching.v1.SocialAccepted");
const CONFIRM: &str = "process jianghan.case_routing.v1.CaseOfferConfirmed";

/// What is caused by what, from the client's call on.
const CHAINS: [&[Step]; 10] = [
    &[EDGE, REGISTER, ("analytics", "process jianghan.case_routing.v1.CaseRegistered")],
    &[EDGE, ACCEPT, ("analytics", "process jianghan.case_routing.v1.CaseAccepted")],
    &[EDGE, TRIAGE, ("analytics", "process jianghan.case_routing.v1.CaseTriaged")],
    &[EDGE, DISPATCH, ("analytics", "process jianghan.case_routing.v1.CaseDispatched")],
    &[EDGE, SIGN, ("analytics", "process jianghan.case_routing.v1.TaskSigned")],
    // Staffing asks somebody because of the signature, case-routing shows it, analytics notes it.
    &[EDGE, SIGN, SIGNED, ("case-routing", ASSIGN)],
    &[EDGE, SIGN, SIGNED, ("analytics", ASSIGN)],
    // Another case is offered to a partner, who says yes; case-routing confirms because of that.
    &[EDGE, DISPATCH, ("volunteer-matching", "process jianghan.case_routing.v1.CaseOffered")],
    &[EDGE, ANSWER, ANSWERED, ("volunteer-matching", CONFIRM)],
    &[EDGE, ANSWER, ANSWERED, ("analytics", CONFIRM)],
];

/// Parts that send events and take some in.
const PARTS: [&str; 3] = ["case-routing", "staffing", "volunteer-matching"];

/// One trace through all of F1 that follows a registration by itself, and metrics of all on the way. `process` says which process
/// plays which part: all the same one, or one each.
pub async fn one_trace(world: &World, process: impl Fn(&'static str) -> &'static str) {
    let resident = world.resident(7);
    let client = Client { world, trace: chassis::clock::new_id().simple().to_string() };

    let case = client.takes_in(&resident, LAMP, false).await;
    let task = lead_task(&case).expect("a lead task").task_id.clone();
    let leader = world.leader_of(&case.lead_org_id);
    client.sends(&leader, &format!("/v1/cases/{}:sign", case.case_id), json!({ "taskId": task })).await;
    world.sees_assignment(&case, AssignmentStatus::Offered).await;

    let case = client.takes_in(&resident, GREENING, true).await;
    world.sees_offer(&case, OfferState::Offered).await;
    let offer = case.offer.as_ref().expect("the case is offered").offer_id.clone();
    client.sends(&world.partner_of(&case), &format!("/v1/offers/{offer}:accept"), json!({})).await;
    world.sees_offer(&case, OfferState::Confirmed).await;

    let plays = |span: &Span, (part, name): Step| {
        let service = span.attribute("jianghan.service").is_none_or(|service| service == part);
        span.process == process(part) && span.name == name && service
    };
    let spans = eventually("the spans of one trace", async || {
        let spans = world.otlp.trace(&client.trace);
        let whole = CHAINS.iter().all(|chain| leads(&spans, &plays, CALLER, chain));
        whole.then_some(spans)
    })
    .await;
    let text = format!("{spans:?}");
    assert!(!text.contains(&resident.session.account.person_id), "no person in a span");
    assert!(!text.contains("路灯"), "no words of the requester in a span");

    for part in PARTS {
        is_measured(world, process(part), "jianghan.bus.confirmed", part, |events| events > 0.0).await;
        is_measured(world, process(part), "jianghan.bus.flowing", part, |flowing| flowing == 1.0).await;
        is_measured(world, process(part), "jianghan.outbox.backlog", part, |events| events >= 0.0).await;
    }
    for part in PARTS.into_iter().chain(["analytics"]) {
        is_measured(world, process(part), "jianghan.inbox.consumed", part, |events| events > 0.0).await;
        is_measured(world, process(part), "jianghan.inbox.lag", part, |events| events > 0.0).await;
        is_measured(world, process(part), "jianghan.inbox.leased", part, |groups| groups >= 1.0).await;
        is_measured(world, process(part), "jianghan.inbox.subscribed", part, |groups| groups >= 1.0).await;
        is_measured(world, process(part), "jianghan.inbox.unattended", part, |groups| groups == 0.0).await;
        is_measured(world, process(part), "jianghan.clock.skew", part, |seconds| seconds.abs() < 60.0).await;
    }
    for (part, method) in [REGISTER, ANSWER, ("identity", "jianghan.identity.v1.AuthService/SignIn")] {
        eventually(&format!("the duration of {method} from {}", process(part)), async || {
            let points = world.otlp.metric(process(part), "rpc.server.call.duration");
            let is = |labels: &Vec<(String, String)>, key: &str, value: &str| {
                labels.iter().any(|(name, text)| name == key && text == value)
            };
            points
                .iter()
                .any(|labels| {
                    is(labels, "rpc.method", method) && is(labels, "rpc.response.status_code", "OK")
                })
                .then_some(())
        })
        .await;
    }
}

/// Whether spans lead from a parent along the rest of a chain, each the parent of the next. There may be several of a name: an
/// event whose handling is tried again has one for each try.
fn leads(spans: &[Span], plays: &dyn Fn(&Span, Step) -> bool, parent: &str, chain: &[Step]) -> bool {
    let Some((step, rest)) = chain.split_first() else { return true };
    let mut next = spans.iter().filter(|span| span.parent_id == parent && plays(span, *step));
    next.any(|span| leads(spans, plays, &span.span_id, rest))
}

/// Waits until a metric of a service arrives and is as it should be.
async fn is_measured(world: &World, process: &str, name: &str, service: &str, good: impl Fn(f64) -> bool) {
    eventually(&format!("{name} of {service}"), async || {
        world.otlp.measured(process, name, service).is_some_and(&good).then_some(())
    })
    .await;
}

/// A client whose calls all belong to one trace.
struct Client<'w> {
    world: &'w World,
    trace: String,
}

impl Client<'_> {
    async fn sends(&self, person: &Person<'_>, path: &str, mut body: Value) -> Value {
        body["requestId"] = json!(request_id());
        let answer = reqwest::Client::new()
            .post(format!("{}{path}", self.world.gateway))
            .header("authorization", person.bearer().await)
            .header("traceparent", format!("00-{}-{CALLER}-01", self.trace))
            .json(&body)
            .send()
            .await
            .expect("the edge answers");
        let status = answer.status();
        let told: Value = answer.json().await.expect("JSON");
        assert_eq!(status, 200, "{path}: {told}");
        told
    }

    /// Registered by a resident; taken in, judged, and dispatched or offered at the window.
    async fn takes_in(&self, resident: &Person<'_>, item: &str, agrees_to_society: bool) -> Case {
        let place = self.world.unit(COMMUNITY);
        let registration = json!({
            "text": "路灯不亮",
            "placeUnitId": place,
            "channel": "CHANNEL_APP",
            "noticeVersion": "v1",
            "urgency": "URGENCY_NORMAL",
        });
        let told = self.sends(resident, "/v1/cases", registration).await;
        let case_id = told["case"]["caseId"].as_str().expect("a case").to_owned();
        let window = self.world.window(COMMUNITY);
        let triage = json!({
            "itemCode": item,
            "placeUnitId": place,
            "urgency": "URGENCY_NORMAL",
            "agreesToSociety": agrees_to_society,
        });
        for (verb, body) in [("accept", json!({})), ("triage", triage), ("dispatch", json!({}))] {
            self.sends(&window, &format!("/v1/cases/{case_id}:{verb}"), body).await;
        }
        self.world.looks_at(&case_id).await
    }
}
