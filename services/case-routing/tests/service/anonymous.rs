//! Who asks anonymously can be told from nothing: not from the timeline, not from an event, not from a table.

use chassis::{
    auth::Role,
    db::cached,
    proto::case_routing::v1::{self as pb, case_service_client::CaseServiceClient},
    testing::Persona,
};
use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;
use tonic::{Code, Status};

use crate::support::{District, ITEM, holds, request_id};

#[derive(diesel::QueryableByName)]
struct Dump {
    #[diesel(sql_type = Nullable<Text>)]
    dump: Option<String>,
}

fn report(d: &District) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "有人乱倒垃圾".into(),
        place_unit_id: d.community.to_string(),
        point: Some(pb::GeoPoint { longitude_e6: Some(114_270_000), latitude_e6: Some(30_600_000) }),
        anonymous: true,
        client_ref: "offline-7".into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_anonymous_report_leads_back_to_nobody() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let request = report(&d);
    let mut own = d.cases(&resident);
    let case = own.register_case(request.clone()).await.unwrap().into_inner().case.unwrap();
    assert!(case.anonymous);

    let timeline = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(timeline).await.unwrap().into_inner().entries;
    let actors: Vec<&str> = steps.iter().map(|step| step.actor_ref.as_str()).collect();
    assert_eq!(actors, ["anonymous"]);

    let mut conn = d.service.db().conn().await.unwrap();
    let tables = ["cases", "timeline", "client_refs", "routing_decisions", "case_texts", "agenda", "tasks"];
    let more = ["case_words", "case_points", "retention", "idempotency", "outbox"];
    for table in tables.into_iter().chain(more) {
        let query = format!("SELECT string_agg(to_jsonb(t)::text, ' ') AS dump FROM {table} t");
        let row: Dump = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
        let dump = row.dump.unwrap_or_default();
        let person = resident.person_id;
        for trace in
            [person.to_string(), person.simple().to_string(), resident.actor_ref.clone(), "offline-7".into()]
        {
            assert!(!holds(&dump, &trace), "{table}: {dump}");
        }
    }
    let known: Dump =
        cached("SELECT count(*)::text AS dump FROM client_refs").get_result(&mut conn).await.unwrap();
    assert_eq!(known.dump.as_deref(), Some("1"));
    drop(conn);

    let told = d.service.drain_outbox().await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].actor_ref, &told[0].traceparent, told[0].causation_id), (&None, &None, None));
    // The request id stands in the gateway's log, beside who signed in.
    assert_ne!(told[0].correlation_id.to_string(), request.request_id);

    d.service.stop().await;
}

#[tokio::test]
async fn a_retry_finds_the_anonymous_case_again_and_nothing_else_does() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let request = report(&d);
    let mut own = d.cases(&resident);
    let first = own.register_case(request.clone()).await.unwrap().into_inner();
    let case_id = first.case.as_ref().unwrap().case_id.clone();
    d.told().await;
    let anew = pb::RegisterCaseRequest { request_id: request_id(), ..request.clone() };
    let again = own.register_case(anew).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again.case_id, case_id);
    assert_eq!(own.register_case(request.clone()).await.unwrap().into_inner(), first);
    assert!(d.told().await.is_empty(), "nothing happened twice");
    // The request id keeps its meaning beside the reference.
    let other = pb::RegisterCaseRequest { text: "别的".into(), ..request.clone() };
    let refused = own.register_case(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("request_id"), "{}", refused.message());
    // The reference is the client's own: another's is another case.
    let another = Persona::resident(d.district);
    let anew = pb::RegisterCaseRequest { request_id: request_id(), ..request };
    let theirs = d.cases(&another).register_case(anew).await.unwrap().into_inner().case.unwrap();
    assert_ne!(theirs.case_id, case_id);
    d.told().await;

    let missing = |what: &str, answer: Result<(), Status>| {
        assert_eq!(answer.expect_err(what).code(), Code::NotFound, "{what}");
    };
    let verbs = async |own: &mut CaseServiceClient<_>| {
        let (id, key) = (case_id.clone(), request_id());
        missing("get", own.get_case(pb::GetCaseRequest { case_id: id.clone() }).await.map(drop));
        let timeline = pb::GetTimelineRequest { case_id: id.clone(), ..Default::default() };
        missing("timeline", own.get_timeline(timeline).await.map(drop));
        missing("text", own.reveal_text(pb::RevealTextRequest { case_id: id.clone() }).await.map(drop));
        let supplement =
            pb::SupplementCaseRequest { case_id: id.clone(), request_id: key.clone(), ..Default::default() };
        missing("supplement", own.supplement_case(supplement).await.map(drop));
        let remark = pb::AddRemarkRequest {
            case_id: id.clone(),
            request_id: key.clone(),
            text: "还在堆".into(),
            ..Default::default()
        };
        missing("remark", own.add_remark(remark).await.map(drop));
        let reason_code = "solved_itself".to_owned();
        let withdraw = pb::WithdrawCaseRequest {
            case_id: id.clone(),
            request_id: key.clone(),
            reason_code: reason_code.clone(),
            ..Default::default()
        };
        missing("withdraw", own.withdraw_case(withdraw).await.map(drop));
        let rate = pb::RateCaseRequest {
            case_id: id.clone(),
            request_id: key.clone(),
            grade: 1,
            ..Default::default()
        };
        missing("rate", own.rate_case(rate).await.map(drop));
        let reopen =
            pb::ReopenCaseRequest { case_id: id.clone(), request_id: key, reason_code, ..Default::default() };
        missing("reopen", own.reopen_case(reopen).await.map(drop));
    };
    verbs(&mut own).await;
    assert!(d.told().await.is_empty(), "and nothing was told");
    d.service.stop().await;
}

#[tokio::test]
async fn another_system_registers_within_its_unit_and_on_its_line_only() {
    let d = District::start().await;
    let client = |unit, line: Option<&str>| {
        let client = Persona::new(Role::IntegrationClient, unit);
        line.map_or(client.clone(), |line| client.line(line))
    };
    let register = async |persona: &Persona, item: &str| {
        let request = pb::RegisterCaseRequest {
            item_code: item.into(),
            anonymous: false,
            requester_id: Persona::resident(d.district).person_id.to_string(),
            notice_version: "1".into(),
            channel: pb::Channel::External.into(),
            client_ref: String::new(),
            ..report(&d)
        };
        d.cases(persona).register_case(request).await.map_err(|status| status.code()).map(drop)
    };
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let denied = Err(Code::PermissionDenied);
    assert_eq!(register(&client(d.district, None), ITEM).await, Ok(()));
    assert_eq!(register(&client(d.community, Some(&case.line)), ITEM).await, Ok(()));
    assert_eq!(register(&client(d.other_street, None), ITEM).await, denied);
    assert_eq!(register(&client(d.district, Some("water")), ITEM).await, denied);
    // Of a matter that is not known yet nobody can tell the line.
    assert_eq!(register(&client(d.district, Some("water")), "").await, Ok(()));
    assert_eq!(register(&client(d.other_street, Some("water")), "").await, denied);
    d.service.stop().await;
}
