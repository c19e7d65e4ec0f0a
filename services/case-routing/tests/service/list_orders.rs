//! In which order lists of cases come, page by page, and what they find by item and by due and registered time.

use std::{collections::HashSet, time::Duration};

use chassis::{clock::from_proto, proto::case_routing::v1 as pb, testing::Persona};
use tonic::Code;

use crate::{
    support::{District, request_id},
    timers::quiet,
};

const DAY: u64 = 86_400;

/// Items that the street leads, by the working days that they promise.
const FIVE_DAYS: &str = "CJ-0142";
const FIFTEEN_DAYS: &str = "CJ-0133";

/// Every page of a list, by two cases each.
async fn listed(d: &District, reader: &Persona, asked: &pb::ListCasesRequest) -> Vec<pb::Case> {
    listed_from(d, reader, asked, String::new()).await
}

/// The pages from this one on.
async fn listed_from(
    d: &District,
    reader: &Persona,
    asked: &pb::ListCasesRequest,
    mut page_token: String,
) -> Vec<pb::Case> {
    let mut seen = Vec::new();
    loop {
        let request = pb::ListCasesRequest { page_size: 2, page_token, ..asked.clone() };
        let page = d.cases(reader).list_cases(request).await.unwrap().into_inner();
        seen.extend(page.cases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return seen;
        }
    }
}

#[tokio::test]
async fn every_order_is_kept_over_all_pages_and_an_unknown_one_is_refused() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    type Key = fn(&pb::Case) -> chassis::Timestamp;
    let registered: Key = |case| from_proto(case.registered_time.as_ref().unwrap()).unwrap();
    let due: Key = |case| from_proto(case.resolve_due_time.as_ref().unwrap()).unwrap();
    let mut made = Vec::new();
    for step in 0..5 {
        // A case on each working day of a week; every other one has two weeks longer, so that the orders differ.
        let item_code = if step % 2 == 0 { FIFTEEN_DAYS } else { FIVE_DAYS };
        let request = pb::IntakeCaseRequest { item_code: item_code.into(), ..d.intake_request(&resident) };
        let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
        made.push(case);
        if step < 4 {
            d.service.clock().advance(Duration::from_secs(DAY));
        }
    }
    let dues: Vec<chassis::Timestamp> = made.iter().map(due).collect();
    assert_eq!(dues.iter().collect::<HashSet<_>>().len(), 5, "the premise: each at its own time, {dues:?}");
    assert!(made.is_sorted_by_key(registered) && !dues.is_sorted(), "the premise: two orders, {dues:?}");
    let orders = [
        ("registered_time", registered, false),
        ("registered_time desc", registered, true),
        ("resolve_due_time", due, false),
        ("resolve_due_time desc", due, true),
    ];
    let readers =
        [d.dispatcher(), resident.clone()].map(|reader| orders.map(|order| (reader.clone(), order)));
    let readers: Vec<_> = readers.into_iter().flatten().collect();
    // These and no others, in the order that is asked for.
    let finds = async |asked: pb::ListCasesRequest, wanted: [&pb::Case; 2]| {
        for (reader, (order_by, key, falling)) in &readers {
            let asked = pb::ListCasesRequest { order_by: (*order_by).into(), ..asked.clone() };
            let mut wanted = wanted.map(|case| (key(case), case.case_id.clone()));
            wanted.sort();
            if *falling {
                wanted.reverse();
            }
            let found = listed(&d, reader, &asked).await;
            let found: Vec<_> = found.into_iter().map(|case| (key(&case), case.case_id)).collect();
            assert_eq!(found, wanted, "{asked:?}");
        }
    };
    let days = pb::ListCasesRequest {
        registered_after: made[2].registered_time,
        registered_before: made[4].registered_time,
        ..Default::default()
    };
    finds(days, [&made[2], &made[3]]).await;
    // An item alone, among what is open, and with words has plans of its own.
    let open = vec![pb::CaseState::Dispatched.into()];
    for asked in [
        pb::ListCasesRequest::default(),
        pb::ListCasesRequest { states: open, ..Default::default() },
        pb::ListCasesRequest { query: "楼道".into(), ..Default::default() },
    ] {
        finds(pb::ListCasesRequest { item_code: FIVE_DAYS.into(), ..asked }, [&made[1], &made[3]]).await;
    }

    // A resident's own newest are read by a text of their own.
    d.service.clock().advance(Duration::from_secs(DAY));
    let stranger = Persona::resident(d.district);
    d.taken_in(&stranger).await;
    for (reader, (order_by, key, falling)) in &readers {
        let everybody = reader.person_id != resident.person_id;
        let asked = pb::ListCasesRequest { order_by: (*order_by).into(), ..Default::default() };
        let seen: Vec<_> = listed(&d, reader, &asked).await.iter().map(key).collect();
        assert_eq!(seen.len(), if everybody { 6 } else { 5 }, "{order_by}");
        let sorted =
            |pair: &[chassis::Timestamp]| if *falling { pair[0] > pair[1] } else { pair[0] < pair[1] };
        assert!(seen.windows(2).all(sorted), "{order_by}: {seen:?}");
    }
    let request = pb::ListCasesRequest { order_by: "text".into(), ..Default::default() };
    let refused = d.cases(&d.dispatcher()).list_cases(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("order_by"), "{}", refused.message());

    // A second later than the two that are due first: those of five days whose residents came on Tuesday and Thursday.
    let mut sorted = dues;
    sorted.sort_unstable();
    let late = sorted[1] + chrono::TimeDelta::seconds(1) - d.service.clock().now();
    d.service.clock().advance(late.to_std().unwrap());
    d.service.wait_for("nothing to be due any more", async || quiet(&d).await).await;
    let overdue = pb::ListCasesRequest { overdue: true, ..Default::default() };
    finds(overdue, [&made[1], &made[3]]).await;
    d.service.stop().await;
}

/// Counted off by rows, a list would repeat some where a case comes ahead of the page, and lose some where one goes from there.
#[tokio::test]
async fn pages_repeat_and_lose_no_case_while_others_write() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    for _ in 0..5 {
        d.taken_in(&resident).await;
    }
    let ids = |cases: Vec<pb::Case>| cases.into_iter().map(|case| case.case_id).collect::<Vec<_>>();
    let open: Vec<i32> = vec![pb::CaseState::Dispatched.into()];
    let lists = [
        ("registered_time desc", Vec::new()),
        ("registered_time desc", open.clone()),
        ("resolve_due_time", open.clone()),
        ("resolve_due_time desc", open),
    ];
    // What ends was on the first page, or would have come on a later one.
    let ways = lists.into_iter().flat_map(|list| [(list.clone(), true), (list, false)]);
    for ((order_by, states), ends_seen) in ways {
        for reader in [d.dispatcher(), resident.clone()] {
            let asked = pb::ListCasesRequest {
                order_by: order_by.into(),
                states: states.clone(),
                ..Default::default()
            };
            let all = listed(&d, &reader, &asked).await;
            let ending = |case: &&pb::Case| case.state() == pb::CaseState::Dispatched;
            let ends = if ends_seen { all.iter().find(ending) } else { all.iter().rfind(ending) };
            let ends = ends.expect("five are open at any time").case_id.clone();

            let first = pb::ListCasesRequest { page_size: 2, ..asked.clone() };
            let first = d.cases(&reader).list_cases(first).await.unwrap().into_inner();
            let came = d.taken_in(&resident).await.case_id;
            let withdraw = pb::WithdrawCaseRequest {
                case_id: ends.clone(),
                request_id: request_id(),
                reason_code: "solved_itself".into(),
                ..Default::default()
            };
            d.cases(&resident).withdraw_case(withdraw).await.unwrap();
            let mut seen = ids(first.cases);
            assert_eq!(seen.contains(&ends), ends_seen, "the premise: {order_by} {states:?}");
            seen.extend(ids(listed_from(&d, &reader, &asked, first.next_page_token).await));

            let mut expected = ids(all);
            if !ends_seen && !states.is_empty() {
                expected.retain(|id| *id != ends);
            }
            let what = format!("{order_by} {states:?} {ends_seen} {reader:?}");
            assert!(seen.iter().filter(|id| **id == came).count() <= 1, "{what}");
            seen.retain(|id| *id != came);
            assert_eq!(seen, expected, "{what}");
        }
    }
    d.service.stop().await;
}
