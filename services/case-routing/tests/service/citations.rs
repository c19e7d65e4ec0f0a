//! Decisions cite the catalogue that was in force with the list, and come out the same from what they cite.

use chassis::{
    auth::Role,
    clock,
    db::cached,
    event::Event,
    proto::{
        case_routing::v1::{
            self as pb,
            catalogue_maintenance_service_client::CatalogueMaintenanceServiceClient as Catalogues,
            intake_service_client::IntakeServiceClient,
            responsibility_service_client::ResponsibilityServiceClient as Lists,
        },
        identity::v1::SessionRevoked,
    },
    testing::Persona,
};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_types::Integer};
use diesel_async::RunQueryDsl;

use crate::{
    duties::DAY,
    recount_moves::tell,
    support::{District, ITEM, request_id},
};

fn cited(case: &pb::Case) -> &str {
    &case.routing.as_ref().unwrap().list_version
}

async fn replayed(d: &District, case: &pb::Case) -> Vec<pb::DecisionReplay> {
    let judge = Persona::new(Role::DistrictDispatcher, d.district);
    let request = pb::ReplayDecisionRequest { case_id: case.case_id.clone(), ..Default::default() };
    let answer = Lists::new(d.service.call_as(&judge)).replay_decision(request).await;
    answer.unwrap().into_inner().replays
}

/// The process that the events of a dispatch told since they were asked for last.
async fn process(d: &District) -> String {
    let events = d.service.drain_outbox().await;
    let dispatched = events.iter().find(|event| event.r#type.ends_with(".CaseDispatched")).unwrap();
    dispatched.decode::<pb::CaseDispatched>().unwrap().process_version
}

#[tokio::test]
async fn a_decision_cites_the_catalogue_in_force_and_comes_out_the_same_after_the_next() {
    let d = District::start().await;
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district);
    let arbiter = Persona::new(Role::Arbiter, d.district);
    let mut drafter = Catalogues::new(d.service.call_as(&dispatcher));
    let mut approver = Catalogues::new(d.service.call_as(&arbiter));
    let resident = Persona::resident(d.district);
    let old = d.taken_in(&resident).await;
    assert_eq!(cited(&old), "catalogue-1.list-1");
    assert!(process(&d).await.starts_with("catalogue-1.list-1.sla-"));

    let import = pb::ImportCatalogueRequest {
        request_id: request_id(),
        // Of the shipped partners this district has one.
        file: format!("item_code,promised_limit,offer_chain\n{ITEM},3 work_day,social_org:yigong\n").into(),
        format: pb::TableFormat::Csv.into(),
        reason_code: "yearly_review".into(),
        ..Default::default()
    };
    let draft = drafter.import_catalogue(import).await.unwrap().into_inner().version.unwrap();
    assert_eq!(draft.catalogue_version, 2);
    assert_eq!(cited(&d.taken_in(&resident).await), "catalogue-1.list-1", "a draft decides nothing");
    process(&d).await;
    let activate = pb::ActivateCatalogueVersionRequest {
        catalogue_version: 2,
        request_id: request_id(),
        effective_on: "2026-03-04".into(),
    };
    approver.activate_catalogue_version(activate).await.unwrap();
    assert_eq!(cited(&d.taken_in(&resident).await), "catalogue-1.list-1", "its day has not come");
    process(&d).await;
    d.service.clock().advance(3 * DAY);
    let new = d.taken_in(&resident).await;
    assert_eq!(cited(&new), "catalogue-2.list-1");
    assert!(process(&d).await.starts_with("catalogue-2.list-1.sla-"));

    // The past is explained by what was in force then, and a version of the list tells its name of today.
    let explain = |at: Option<&str>| pb::ExplainRouteRequest {
        item_code: ITEM.into(),
        unit_id: d.community.to_string(),
        at_time: at.map(|at| at.parse().unwrap()),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&dispatcher));
    for (at, expected) in [(Some("2026-03-03T00:00:00Z"), "catalogue-1.list-1"), (None, "catalogue-2.list-1")]
    {
        let decision = intake.explain_route(explain(at)).await.unwrap().into_inner().decision.unwrap();
        assert_eq!(decision.list_version, expected);
    }
    let first = pb::GetListVersionRequest { list_version: 1 };
    let first = Lists::new(d.service.call_as(&dispatcher)).get_list_version(first).await.unwrap();
    assert_eq!(first.into_inner().version.unwrap().cited_as, "catalogue-2.list-1");

    for case in [&old, &new] {
        let replays = replayed(&d, case).await;
        let outcomes: Vec<_> = replays.iter().map(|replay| replay.outcome.as_str()).collect();
        assert_eq!(outcomes, ["identical"], "{:?}", replays[0].differences);
    }

    // Taken back, the one before is cited again; what was decided stays and comes out the same.
    let back = pb::RollBackCatalogueVersionRequest {
        catalogue_version: 2,
        request_id: request_id(),
        reason_code: "wrong_limits".into(),
    };
    drafter.roll_back_catalogue_version(back).await.unwrap();
    assert_eq!(cited(&d.taken_in(&resident).await), "catalogue-1.list-1");
    assert_eq!(cited(&d.read(&new).await), "catalogue-2.list-1");
    assert_eq!(replayed(&d, &new).await[0].outcome, "identical");
    d.service.stop().await;
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Integer)]
    catalogue_version: i32,
}

/// While a rollout replaces the build before, that one reads the state of the catalogue as it always did.
#[tokio::test]
async fn what_the_build_before_reads_of_the_catalogue_is_there_still() {
    let d = District::start().await;
    {
        let mut conn = d.service.db().conn().await.unwrap();
        let state: State = cached("SELECT revision, catalogue_version, fallback_org FROM catalogue_state")
            .get_result(&mut conn)
            .await
            .unwrap();
        assert_eq!(state.catalogue_version, 1);
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_unit_that_changes_is_told_to_a_replay_and_somebody_who_signs_out_is_not() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let (now, until) = (d.service.clock().now(), d.service.clock().real_now() + TimeDelta::minutes(10));
    let signed_out = SessionRevoked {
        person_id: resident.person_id.to_string(),
        session_id: resident.session_id.to_string(),
        expire_time: Some(clock::to_proto(until)),
    };
    d.service.deliver(Event::of("identity", now, resident.person_id, 1, &signed_out)).await;
    assert!(!replayed(&d, &case).await[0].topology_changed);
    tell(&d, d.street, "renamed", 2).await;
    d.service.wait_for("the change", async || replayed(&d, &case).await[0].topology_changed).await;
    assert_eq!(replayed(&d, &case).await[0].outcome, "identical");
    d.service.stop().await;
}
