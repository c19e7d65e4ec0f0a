//! Mediations in which something is waited for in vain: who hears of it, and how they are found.

use std::time::Duration;

use chassis::{Timestamp, auth::Role, db::cached, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::{
    mediation::{Dispute, ids},
    support::request_id,
};

/// Looks into what the build before it left.
const MIGRATION: &str = include_str!("../../migrations/20261130004520_mediations_overdue/up.sql");

fn overdue(page_size: i32, page_token: String) -> pb::ListMediationsRequest {
    pb::ListMediationsRequest { overdue: true, page_size, page_token, ..Default::default() }
}

/// The ids of those that are overdue, in order, for somebody.
async fn listed(m: &Dispute, by: &Persona) -> Vec<String> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = m.as_(by).list_mediations(overdue(1, page_token)).await.unwrap().into_inner();
        all.extend(page.mediations.into_iter().map(|mediation| mediation.mediation_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Reminders that a day went by, and where they stand.
async fn reminders(m: &Dispute, of: &pb::Mediation) -> Vec<(i32, String)> {
    let case = pb::Case { case_id: of.case_id.clone(), ..Default::default() };
    let supervisions = m.d.read(&case).await.supervisions.into_iter();
    let of_it = supervisions.filter(|known| known.reason_code == "mediation_day_passed");
    of_it.map(|known| (known.level, known.state)).collect()
}

async fn performed(m: &Dispute, of: &pb::Mediation) -> pb::Mediation {
    let (case_id, mediation_id) = ids(of);
    let perform = pb::RecordPerformanceRequest {
        case_id,
        mediation_id,
        request_id: request_id(),
        evidence_refs: vec!["doc:visit-1".into()],
        ..Default::default()
    };
    m.as_(&m.mediator).record_performance(perform).await.unwrap().into_inner().mediation.unwrap()
}

#[tokio::test]
async fn what_is_not_performed_by_its_day_is_listed_by_that_day_and_whoever_mediates_is_reminded() {
    let m = Dispute::start().await;
    let later = m.effective(TimeDelta::days(6)).await;
    let first = m.effective(TimeDelta::days(5)).await;
    let in_time = m.effective(TimeDelta::days(20)).await;
    assert!(listed(&m, &m.mediator).await.is_empty());
    m.d.service.clock().advance(Duration::from_secs(7 * 86_400));
    m.d.service.wait_for("both days go by", async || listed(&m, &m.mediator).await.len() == 2).await;
    let expected = [first.mediation_id.clone(), later.mediation_id.clone()];
    assert_eq!(listed(&m, &m.mediator).await, expected, "the longest due first, page by page");
    assert_eq!(listed(&m, &m.d.dispatcher()).await, expected);
    let elsewhere = Persona::new(Role::StreetDispatcher, m.d.other_street).org(m.d.other_office);
    assert!(listed(&m, &elsewhere).await.is_empty(), "not of a place that is not theirs");
    assert_eq!(reminders(&m, &first).await.len(), 1);
    assert!(reminders(&m, &in_time).await.is_empty());

    let done = performed(&m, &first).await;
    assert_eq!(done.state(), pb::MediationState::Performed);
    assert_eq!(listed(&m, &m.mediator).await, std::slice::from_ref(&later.mediation_id));
    let before = reminders(&m, &later).await;
    let after = reminders(&m, &first).await;
    assert!(after.len() == 1 && before.len() == 1 && before[0].0 == 0);
    assert_ne!(before[0].1, after[0].1, "cleared with what it was about");
    // A token is for the order that it came from.
    let all = pb::ListMediationsRequest { page_size: 1, ..Default::default() };
    let newest = m.as_(&m.mediator).list_mediations(all).await.unwrap().into_inner();
    let mixed = m.as_(&m.mediator).list_mediations(overdue(1, newest.next_page_token)).await.unwrap_err();
    assert_eq!(mixed.code(), Code::InvalidArgument);
    m.d.service.stop().await;
}

#[tokio::test]
async fn whoever_is_to_verify_a_case_lists_the_mediation_that_they_may_read_wherever_their_grants_are() {
    let m = Dispute::start().await;
    let agreed = m.effective(TimeDelta::days(5)).await;
    let case = pb::Case { case_id: agreed.case_id.clone(), ..Default::default() };
    assert_eq!(m.d.read(&case).await.verification.unwrap().verifier_org_id, m.d.centre.to_string());
    {
        let mut conn = m.d.service.db().conn().await.unwrap();
        let past = "UPDATE mediations SET overdue_since = 'epoch'::timestamptz";
        assert_eq!(cached(past).execute(&mut conn).await.unwrap(), 1);
    }
    let elsewhere = |org: Uuid| Persona::new(Role::StreetDispatcher, m.d.other_street).org(org);
    for (by, seen) in [(elsewhere(m.d.centre), true), (elsewhere(m.d.other_office), false)] {
        let read = m.read(&by, &agreed).await;
        assert_eq!(read.err().map(|refused| refused.code()), (!seen).then_some(Code::NotFound));
        let all = m.as_(&by).list_mediations(pb::ListMediationsRequest::default()).await.unwrap();
        let all = all.into_inner().mediations.into_iter().map(|mediation| mediation.mediation_id);
        let all: Vec<String> = all.collect();
        let expected = if seen { vec![agreed.mediation_id.clone()] } else { Vec::new() };
        assert_eq!((all, listed(&m, &by).await), (expected.clone(), expected));
    }
    m.d.service.stop().await;
}

#[derive(QueryableByName)]
struct Since {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    overdue_since: Option<Timestamp>,
}

/// Since when something is waited for in vain, as the list is ordered by it.
async fn since(m: &Dispute, of: &pb::Mediation) -> Option<Timestamp> {
    let mut conn = m.d.service.db().conn().await.unwrap();
    let row: Since = cached("SELECT overdue_since FROM mediations WHERE mediation_id = $1")
        .bind::<SqlUuid, _>(of.mediation_id.parse::<Uuid>().unwrap())
        .get_result(&mut conn)
        .await
        .unwrap();
    row.overdue_since
}

/// Two whose days went by. In its document alone the first has another agreement since, as where a court did not confirm the
/// one before: the days of that do not count any more.
async fn one_agreed_anew(m: &Dispute) -> (pb::Mediation, pb::Mediation) {
    let (first, later) = (m.effective(TimeDelta::days(5)).await, m.effective(TimeDelta::days(6)).await);
    m.d.service.clock().advance(Duration::from_secs(7 * 86_400));
    m.d.service.wait_for("both days go by", async || listed(m, &m.mediator).await.len() == 2).await;
    let mut conn = m.d.service.db().conn().await.unwrap();
    let changed = cached(
        "UPDATE mediations SET doc = jsonb_set(doc::jsonb, '{agreement,effective_at}', to_jsonb($2::text))::text \
         WHERE mediation_id = $1",
    )
    .bind::<SqlUuid, _>(first.mediation_id.parse::<Uuid>().unwrap())
    .bind::<Text, _>(m.d.service.clock().now().to_rfc3339())
    .execute(&mut conn)
    .await
    .unwrap();
    assert_eq!(changed, 1);
    (first, later)
}

#[tokio::test]
async fn every_page_leads_to_the_next_though_a_document_does_not_say_what_the_list_is_ordered_by() {
    let m = Dispute::start().await;
    let (first, later) = one_agreed_anew(&m).await;
    let expected = [first.mediation_id, later.mediation_id];
    assert_eq!(listed(&m, &m.mediator).await, expected);
    m.d.service.stop().await;
}

#[tokio::test]
async fn what_went_by_before_the_list_was_kept_comes_into_it_but_for_the_days_of_an_agreement_before() {
    let m = Dispute::start().await;
    let (first, later) = one_agreed_anew(&m).await;
    let known = since(&m, &later).await;
    assert!(known.is_some());
    {
        let mut conn = m.d.service.db().conn().await.unwrap();
        cached("UPDATE mediations SET overdue_since = NULL").execute(&mut conn).await.unwrap();
        let backfill = MIGRATION.split(';').find(|part| part.contains("SET overdue_since")).unwrap();
        assert_eq!(cached(backfill).execute(&mut conn).await.unwrap(), 1);
    }
    assert_eq!((since(&m, &first).await, since(&m, &later).await), (None, known));
    m.d.service.stop().await;
}
