//! Definitions and values over gRPC, and what bad questions get.

use crate::support::{
    COMMUNITIES, DISTRICT, MANCHUN, NEXT, WANSONG, analyst, client, digest, in_turn, merge, rebuild, start,
    story::{Story, at},
};
use chassis::{auth::Role, testing::Persona};
use chrono::TimeDelta;
use proto::{
    analytics::v1::{
        GetBoardRequest, GetRollupDigestRequest, ListIndicatorDefinitionsRequest, QueryIndicatorsRequest,
        QueryIndicatorsResponse, RebuildRollupsRequest,
    },
    case_routing::v1::{ClosedCode, LimitUnit},
};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

fn question(codes: &[&str], units: &[Uuid], item: &str) -> QueryIndicatorsRequest {
    QueryIndicatorsRequest {
        codes: codes.iter().map(|c| (*c).to_owned()).collect(),
        unit_ids: units.iter().map(Uuid::to_string).collect(),
        start_date: "2026-02-01".to_owned(),
        end_date: "2026-03-01".to_owned(),
        item_code: item.to_owned(),
    }
}

fn of(answer: &QueryIndicatorsResponse) -> Vec<(&str, i64, i64, Option<f64>)> {
    answer.values.iter().map(|v| (v.code.as_str(), v.numerator, v.denominator, v.value)).collect()
}

/// Whole lives in February: three in the first street (two of one item), one in the second.
fn february() -> Vec<Story> {
    let [a, b, c] = COMMUNITIES;
    [(a, "roof", "housing"), (a, "roof", "housing"), (b, "noise", "urban"), (c, "roof", "housing")]
        .into_iter()
        .zip(0..)
        .map(|((place, item, line), n)| {
            Story::whole(at("2026-02-02", 9) + TimeDelta::hours(n), place, item, line)
        })
        .collect()
}

#[tokio::test]
async fn values_are_those_of_the_unit_the_item_and_the_line() {
    let service = start().await;
    service.deliver_all(in_turn(&february())).await;
    let ask = async |persona: &Persona, request: QueryIndicatorsRequest| {
        client(&service, persona).query_indicators(request).await.expect("values").into_inner()
    };
    let codes = ["I-01", "I-05", "I-07", "I-11-work_day", "I-11-p50-work_day", "I-12", "I-11-cal_hour"];
    let all = ask(&analyst(), question(&codes, &[DISTRICT], "")).await;
    let hours = 23.0 * 3600.0;
    assert_eq!(
        of(&all)[..4],
        [
            ("I-01", 4, 4, Some(1.0)),
            ("I-05", 4, 1, Some(4.0)),
            ("I-07", 4, 4, Some(1.0)),
            ("I-11-work_day", 4 * 23 * 3600, 4, Some(hours))
        ]
    );
    assert!((all.values[4].value.unwrap() - hours).abs() < hours / 32.0);
    assert_eq!(all.values[5].value, Some(0.0));
    assert_eq!((all.values[6].denominator, all.values[6].value), (0, None), "nothing by that clock");
    assert!(all.values[0].watermark.is_some());

    let streets = ask(&analyst(), question(&["I-01"], &[MANCHUN, WANSONG], "")).await;
    assert_eq!(streets.values.iter().map(|v| v.denominator).collect::<Vec<_>>(), [3, 1]);
    let roof = ask(&analyst(), question(&["I-01", "I-11-p90-work_day"], &[DISTRICT], "roof")).await;
    assert_eq!(roof.values.iter().map(|v| v.denominator).collect::<Vec<_>>(), [3, 3]);
    let unknown = ask(&analyst(), question(&["I-01"], &[DISTRICT], "nothing")).await;
    assert_eq!(of(&unknown), [("I-01", 0, 0, None)]);

    let urban = Persona::new(Role::DeptLeader, DISTRICT).line("urban");
    let line = ask(&urban, question(&["I-01"], &[DISTRICT], "")).await;
    assert_eq!(of(&line), [("I-01", 1, 1, Some(1.0))]);
    let foreign = ask(&urban, question(&["I-01"], &[DISTRICT], "roof")).await;
    assert_eq!(of(&foreign), [("I-01", 0, 0, None)], "an item of another line counts nothing");

    // Every definition has a value or none, but never fails.
    let every = ask(&analyst(), question(&[], &[], "")).await;
    assert_eq!(every.values.len(), analytics::domain::indicator::Catalogue::builtin().definitions().len());
    service.stop().await;
}

#[tokio::test]
async fn an_item_that_no_case_is_of_any_more_is_asked_for_after_a_rebuild() {
    let service = start().await;
    let [a, ..] = COMMUNITIES;
    let mut left = Story::register(at("2026-02-02", 9), a);
    left.triage(at("2026-02-02", 10), "roof", "housing");
    service.deliver_all(std::mem::take(&mut left.events)).await;
    left.triage(at("2026-02-02", 11), "noise", "urban");
    service.deliver_all(left.events).await;
    let before = digest(&service).await;
    assert_eq!(rebuild(&service, chassis::clock::new_id()).await.digest, before.digest);
    // Who counts has noted the item before, and does not again.
    service.deliver_all(Story::whole(at("2026-02-05", 9), a, "roof", "housing").events).await;
    let request = question(&["I-01"], &[DISTRICT], "roof");
    let roof = client(&service, &analyst()).query_indicators(request).await.unwrap().into_inner();
    assert_eq!(of(&roof), [("I-01", 1, 1, Some(1.0))]);
    service.stop().await;
}

#[tokio::test]
async fn both_sides_of_a_whistle_and_what_comes_of_disputes_are_measured() {
    let service = start().await;
    let mut story = Story::register(at("2026-02-02", 9), COMMUNITIES[0]);
    story.triage(at("2026-02-02", 10), "quarrel", "justice");
    let (came, late, silent) = (
        story.whistle(at("2026-02-03", 9)),
        story.whistle(at("2026-02-03", 9)),
        story.whistle(at("2026-02-03", 9)),
    );
    story.report(at("2026-02-03", 10), came, true).report(at("2026-02-05", 10), late, false);
    story.appraise(at("2026-02-06", 9), came, true, true).appraise(at("2026-02-06", 9), late, true, false);
    story.appraise(at("2026-02-06", 9), silent, false, true);
    let [within, above, open] = [1, 2, 3].map(Uuid::from_u128);
    for mediation in [within, above, open] {
        story.open_mediation(at("2026-02-04", 9), mediation);
    }
    story.settle(at("2026-02-10", 9), within, true, at("2026-02-20", 18));
    story.settle(at("2026-02-11", 9), above, false, at("2026-03-20", 18)); // to be performed after the period
    story.perform(at("2026-02-19", 9), within);
    service.deliver_all(story.events.clone()).await;

    let codes = ["I-13-reported", "I-13-solved", "I-13-needed", "I-56", "I-56-performed"];
    let ask = async |item: &str| {
        let request = question(&codes, &[MANCHUN], item);
        client(&service, &analyst()).query_indicators(request).await.unwrap().into_inner()
    };
    let expected = [
        ("I-13-reported", 1, 3, Some(0.3333)),
        ("I-13-solved", 1, 2, Some(0.5)),
        ("I-13-needed", 1, 1, Some(1.0)),
        ("I-56", 1, 3, Some(0.3333)),
        ("I-56-performed", 1, 1, Some(1.0)),
    ];
    assert_eq!(of(&ask("").await), expected);
    assert_eq!(of(&ask("quarrel").await), expected);
    let before = digest(&service).await;
    rebuild(&service, chassis::clock::new_id()).await;
    assert_eq!(of(&ask("").await), expected, "the same from the log");
    assert_eq!(digest(&service).await, before);
    service.stop().await;
}

#[tokio::test]
async fn times_by_unit_and_repeats_are_the_same_from_the_log() {
    let service = start().await;
    let mut stories = february();
    for (story, n) in stories.iter_mut().zip(0..) {
        // Done anew by another clock, and told to repeat what was asked before.
        story.reopen(at("2026-02-10", 9), at("2026-02-20", 9));
        story.unit = LimitUnit::CalHour;
        story.facts.repeats = n > 0;
        story.complete(at("2026-02-11", 9), Uuid::from_u128(9), true, n * 3600);
        story.close(at("2026-02-12", 9), ClosedCode::Resolved);
    }
    service.deliver_all(in_turn(&stories)).await;
    let ask = async || {
        let request = question(&["I-11-work_day", "I-11-cal_hour", "I-15"], &[DISTRICT], "");
        client(&service, &analyst()).query_indicators(request).await.unwrap().into_inner()
    };
    let expected = [
        ("I-11-work_day", 0, 0, None),
        ("I-11-cal_hour", 6 * 3600, 4, Some(1.5 * 3600.0)),
        ("I-15", 3, 4, Some(0.75)),
    ];
    assert_eq!(of(&ask().await), expected);
    let before = digest(&service).await;
    rebuild(&service, chassis::clock::new_id()).await;
    assert_eq!(of(&ask().await), expected);
    assert_eq!(digest(&service).await, before);
    service.stop().await;
}

#[tokio::test]
async fn what_was_registered_is_closed_ended_otherwise_or_open_and_a_committee_asks_about_its_own() {
    let service = start().await;
    let [community, neighbour, _] = COMMUNITIES;
    let mut stories = vec![Story::whole(at("2026-02-02", 9), community, "roof", "housing")];
    let mut withdrawn = Story::register(at("2026-02-03", 9), community);
    withdrawn.triage(at("2026-02-03", 10), "roof", "housing").withdraw(at("2026-02-04", 9));
    let later = at("2026-02-05", 10);
    let mut open = Story::register(later, community);
    open.accept(later, at("2026-02-09", 10), true).triage(later, "roof", "housing");
    stories.extend([withdrawn, open]);
    service.deliver_all(in_turn(&stories)).await;

    let member = Persona::new(Role::CommitteeMember, community);
    let codes = ["I-01-closed", "I-01-open", "I-07", "I-18", "I-20"];
    let ask = async |item: &str| {
        let request = question(&codes, &[community], item);
        client(&service, &member).query_indicators(request).await.unwrap().into_inner()
    };
    let expected = [
        ("I-01-closed", 1, 3, Some(0.3333)),
        ("I-01-open", 1, 3, Some(0.3333)),
        ("I-07", 1, 2, Some(0.5)),
        ("I-18", 1, 1, Some(1.0)),
        ("I-20", 1, 1, Some(1.0)),
    ];
    assert_eq!(of(&ask("roof").await), expected);
    assert!(ask("noise").await.values.iter().all(|value| value.value.is_none()), "nothing of it came");
    let next = question(&codes, &[neighbour], "roof");
    let foreign = client(&service, &member).query_indicators(next).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    let before = digest(&service).await;
    rebuild(&service, chassis::clock::new_id()).await;
    assert_eq!(of(&ask("roof").await), expected, "the same from the log");
    assert_eq!(digest(&service).await, before);
    service.stop().await;
}

#[tokio::test]
async fn what_communities_became_has_their_whole_past_and_says_so() {
    let service = start().await;
    let [first, second, neighbour] = COMMUNITIES;
    let mut late = Story::register(at("2026-02-05", 10), first);
    late.accept(at("2026-02-05", 10), at("2026-02-09", 10), true);
    late.triage(at("2026-02-05", 10), "roof", "housing");
    let mut stories = february();
    stories.push(late.clone());
    service.deliver_all(in_turn(&stories)).await;
    // What is closed stays where it was, what is open goes on in what that became.
    merge(&service, &[first, second], NEXT).await;
    let told = late.events.len();
    late.follow_place(at("2026-03-02", 8), NEXT);
    service.deliver_all(late.events[told..].to_vec()).await;

    let ask = async |persona: &Persona, request: QueryIndicatorsRequest| {
        client(&service, persona).query_indicators(request).await.map(tonic::Response::into_inner)
    };
    let of = |answer: &QueryIndicatorsResponse| -> Vec<(i64, i64, bool)> {
        answer.values.iter().map(|v| (v.numerator, v.denominator, v.rebased)).collect()
    };
    let units = [NEXT, first, MANCHUN, neighbour];
    let all = ask(&analyst(), question(&["I-07"], &units, "")).await.unwrap();
    assert_eq!(of(&all), [(3, 4, true), (2, 2, true), (3, 4, false), (1, 1, false)]);

    // Who belongs to what they became asks for either of them, and for nobody else's.
    let member = Persona::new(Role::CommitteeMember, NEXT);
    let own = ask(&member, question(&["I-07"], &[NEXT, second], "")).await.unwrap();
    assert_eq!(of(&own), [(3, 4, true), (1, 1, true)]);
    let housing = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    for (persona, unit) in [(&member, neighbour), (&member, MANCHUN), (&housing, first), (&housing, NEXT)] {
        let refused = ask(persona, question(&["I-07"], &[unit], "")).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{persona:?}");
    }

    // Days after the merger are as they were counted, unless they are compared with the year before.
    let march = QueryIndicatorsRequest {
        start_date: "2026-03-01".to_owned(),
        end_date: "2026-04-01".to_owned(),
        ..question(&["I-07", "I-22"], &[NEXT], "")
    };
    let later = ask(&analyst(), march).await.unwrap();
    assert_eq!(later.values.iter().map(|v| v.rebased).collect::<Vec<_>>(), [false, true]);
    service.stop().await;
}

#[tokio::test]
async fn definitions_come_in_pages() {
    let service = start().await;
    let mut client = client(&service, &Persona::resident(MANCHUN));
    let (mut codes, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListIndicatorDefinitionsRequest { page_size: 7, page_token };
        let page = client.list_indicator_definitions(request).await.unwrap().into_inner();
        assert!(page.definitions.len() <= 7);
        codes.extend(page.definitions.into_iter().map(|d| d.code));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let all = analytics::domain::indicator::Catalogue::builtin().definitions();
    assert_eq!(codes, all.iter().map(|d| d.code.clone()).collect::<Vec<_>>());
    service.stop().await;
}

#[tokio::test]
async fn bad_questions_name_their_field() {
    let service = start().await;
    let good = question(&["I-01"], &[DISTRICT], "");
    let cases = [
        (QueryIndicatorsRequest { codes: vec!["I-99".into()], ..good.clone() }, "codes[0]"),
        (QueryIndicatorsRequest { codes: vec!["I-01".into(); 101], ..good.clone() }, "codes"),
        (QueryIndicatorsRequest { unit_ids: vec!["x".into()], ..good.clone() }, "unit_ids[0]"),
        (QueryIndicatorsRequest { unit_ids: vec![DISTRICT.to_string(); 101], ..good.clone() }, "unit_ids"),
        (QueryIndicatorsRequest { start_date: "yesterday".into(), ..good.clone() }, "start_date"),
        (QueryIndicatorsRequest { end_date: "2026-01-01".into(), ..good.clone() }, "end_date"),
        (QueryIndicatorsRequest { item_code: "x".repeat(129), ..good.clone() }, "item_code"),
        (QueryIndicatorsRequest { item_code: "x\0".into(), ..good.clone() }, "item_code"),
    ];
    for (request, field) in cases {
        let status = client(&service, &analyst()).query_indicators(request).await.unwrap_err();
        assert_field(&status, field);
    }
    let board = GetBoardRequest { unit_id: "district".into(), ..Default::default() };
    assert_field(&client(&service, &analyst()).get_board(board).await.unwrap_err(), "unit_id");
    let list = ListIndicatorDefinitionsRequest { page_token: "%".into(), ..Default::default() };
    let status = client(&service, &analyst()).list_indicator_definitions(list).await.unwrap_err();
    assert_field(&status, "page_token");
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let rebuild = RebuildRollupsRequest { request_id: "again".into() };
    assert_field(&client(&service, &operator).rebuild_rollups(rebuild).await.unwrap_err(), "request_id");
    let digest = GetRollupDigestRequest { digest_id: "again".into(), ..Default::default() };
    assert_field(&client(&service, &operator).get_rollup_digest(digest).await.unwrap_err(), "digest_id");
    service.stop().await;
}

fn assert_field(status: &tonic::Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
    let details = status.get_error_details();
    let violation = details.bad_request().and_then(|b| b.field_violations.as_slice().first());
    assert_eq!(violation.map(|v| v.field.as_str()), Some(field));
}
