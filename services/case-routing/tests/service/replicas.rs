//! Several replicas over one database, each with cases at hand: none works on, shows or lists a case as it was before another
//! changed it.

use chassis::{
    db::cached,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, case_service_client::CaseServiceClient, task_service_client::TaskServiceClient,
    },
    testing::Persona,
};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::support::{District, request_id};

async fn sign(tasks: &mut TaskServiceClient<PeerChannel>, case: &pb::Case) -> pb::Case {
    let request = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        etag: case.etag.clone(),
    };
    tasks.sign_task(request).await.unwrap().into_inner().case.unwrap()
}

async fn contact(
    tasks: &mut TaskServiceClient<PeerChannel>,
    case: &pb::Case,
) -> Result<pb::Case, tonic::Status> {
    let request = pb::ContactRequesterRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        etag: case.etag.clone(),
        method: "phone".into(),
    };
    Ok(tasks.contact_requester(request).await?.into_inner().case.unwrap())
}

async fn read(cases: &mut CaseServiceClient<PeerChannel>, case: &pb::Case) -> pb::Case {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    cases.get_case(request).await.unwrap().into_inner().case.unwrap()
}

async fn own(cases: &mut CaseServiceClient<PeerChannel>) -> Vec<pb::Case> {
    let request = pb::ListCasesRequest { mine: true, ..Default::default() };
    cases.list_cases(request).await.unwrap().into_inner().cases
}

#[tokio::test]
async fn a_case_at_hand_is_never_one_that_another_replica_has_changed_since() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let replica = d.another().await;
    let mut here = (d.tasks(&d.leader()), d.cases(&d.dispatcher()), d.cases(&resident));
    let mut there = (
        TaskServiceClient::new(d.call_at(replica.addr, &d.leader())),
        CaseServiceClient::new(d.call_at(replica.addr, &d.dispatcher())),
        CaseServiceClient::new(d.call_at(replica.addr, &resident)),
    );
    let case = d.taken_in(&resident).await;
    // Both have it at hand, with the decision and what was looked at.
    let shown = (read(&mut here.1, &case).await, read(&mut there.1, &case).await);
    assert_eq!(shown.0, shown.1);
    assert!(!shown.0.routing.as_ref().unwrap().candidates.is_empty());
    let listed = (own(&mut here.2).await, own(&mut there.2).await);
    assert_eq!((listed.0.len(), &listed.0), (1, &listed.1));

    let signed = sign(&mut there.0, &case).await;
    assert_ne!(signed.etag, case.etag);
    let stale = contact(&mut here.0, &case).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted, "{stale:?}");
    for cases in [&mut here.1, &mut there.1] {
        let now = read(cases, &case).await;
        assert_eq!((&now.etag, now.tasks[0].state()), (&signed.etag, signed.tasks[0].state()));
        assert_eq!(now.routing, shown.0.routing, "the decision stands");
    }
    let listed = (own(&mut here.2).await, own(&mut there.2).await);
    assert_eq!((&listed.0[0].etag, &listed.0), (&signed.etag, &listed.1));

    let contacted = contact(&mut here.0, &signed).await.unwrap();
    for cases in [&mut here.1, &mut there.1] {
        assert_eq!(read(cases, &case).await.etag, contacted.etag);
    }
    replica.stop().await.unwrap();
    d.service.stop().await;
}

/// Changes the row of a case behind the service, which has the case at hand.
async fn behind(d: &District, case: &pb::Case, text: &'static str, what: &str) {
    let mut conn = d.service.db().conn().await.unwrap();
    let changed = cached(text)
        .bind::<SqlUuid, _>(case.case_id.parse::<Uuid>().unwrap())
        .bind::<Text, _>(what)
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(changed, 1);
}

/// Own cases are listed from those at hand, or read after the page was found: the list goes on where the rows stood.
#[tokio::test]
async fn a_list_by_due_time_goes_on_behind_where_its_last_case_stood() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let (first, second) = (d.taken_in(&resident).await, d.taken_in(&resident).await);
    let earlier = "UPDATE cases SET running_due_at = running_due_at - $2::interval WHERE case_id = $1";
    behind(&d, &first, earlier, "60 minutes").await;
    behind(&d, &second, earlier, "30 minutes").await;
    let mut cases = d.cases(&resident);
    let mut request = pb::ListCasesRequest {
        mine: true,
        page_size: 1,
        order_by: "resolve_due_time".into(),
        ..Default::default()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = cases.list_cases(request.clone()).await.unwrap().into_inner();
        seen.extend(page.cases.into_iter().map(|case| case.case_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, [first.case_id, second.case_id]);
    d.service.stop().await;
}

/// As after a restore behind a running service: another case stands at the version that is at hand.
#[tokio::test]
async fn a_case_at_hand_counts_only_where_the_row_was_changed_at_its_time() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let mut own_cases = d.cases(&resident);
    let (shown, listed) = (read(&mut d.cases(&d.dispatcher()), &case).await, own(&mut own_cases).await);
    assert!(shown.text_redacted.contains("楼道") && listed[0].text_redacted.contains("楼道"));
    let restored = "UPDATE cases SET updated_at = updated_at - interval '1 second', \
                    doc = replace(doc, '楼道', $2) WHERE case_id = $1";
    behind(&d, &case, restored, "门口").await;
    let row = own(&mut own_cases).await;
    assert_eq!((&row[0].etag, row[0].text_redacted.contains("门口")), (&shown.etag, true));
    assert!(read(&mut d.cases(&d.dispatcher()), &case).await.text_redacted.contains("门口"));
    // What is done next is done with the row's, too.
    let signed = sign(&mut d.tasks(&d.leader()), &case).await;
    assert!(signed.text_redacted.contains("门口"));
    assert!(read(&mut d.cases(&d.dispatcher()), &case).await.text_redacted.contains("门口"));
    d.service.stop().await;
}
