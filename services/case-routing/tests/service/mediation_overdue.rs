//! Mediations in which something is waited for in vain: who hears of it, and how they are found.

use std::time::Duration;

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use tonic::Code;

use crate::{
    mediation::{Dispute, ids},
    support::request_id,
};

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
