//! What is counted, and that a run is reported whatever answers.

use super::*;
use crate::suite::{Account, fake};

fn counters(services: &[(&'static str, i64, i64, i64)]) -> Counters {
    let of = |(service, started, published, consumed): &(&'static str, i64, i64, i64)| {
        let figures = GetStatisticsResponse {
            process_id: 7,
            start_time: Some(prost_types::Timestamp { seconds: *started, nanos: 0 }),
            published: *published,
            consumed: *consumed,
            rss_bytes: 1 << 20,
            ..Default::default()
        };
        (*service, figures)
    };
    Counters(services.iter().map(of).collect())
}

#[test]
fn a_service_that_was_started_anew_counts_from_nothing() {
    let before = counters(&[("identity", 1, 10, 0), ("staffing", 1, 500, 900)]);
    let after = counters(&[("identity", 1, 15, 1), ("staffing", 2, 40, 30)]);
    let done = after.since(&before);
    assert_eq!((done.published, done.consumed), (5 + 40, 1 + 30));
    assert_eq!(done.restarted, ["staffing"]);
    assert_eq!(before.since(&before), Done::default());
}

#[test]
fn a_process_is_counted_once_and_a_gateway_elsewhere_not_at_all() {
    let all = counters(&[("identity", 1, 0, 0), ("staffing", 1, 0, 0)]);
    let with_gateway = |gateway: &str| Addresses { gateway: gateway.into(), ..Addresses::local(8080) };
    assert_eq!(all.resident(&with_gateway("http://192.0.2.1:80")), 1 << 20);
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = format!("http://{}", socket.local_addr().expect("its address"));
    assert!(all.resident(&with_gateway(&address)) > 2 << 20, "this process listens there");
    assert_eq!(local_port("http://localhost:8080/"), Some(8080));
    assert_eq!(local_port("https://[::1]"), Some(443));
    assert_eq!(local_port("https://example.org"), None);
}

#[test]
fn processes_of_the_same_number_on_several_machines_are_several() {
    let all = counters(&[("identity", 1, 0, 0), ("staffing", 1, 0, 0), ("analytics", 1, 0, 0)]);
    let addresses = Addresses {
        identity: "http://jianghan-identity:8021".into(),
        staffing: "http://jianghan-staffing:8021".into(),
        analytics: "http://jianghan-staffing:8022".into(),
        gateway: "http://192.0.2.1:80".into(),
        ..Addresses::local(8080)
    };
    assert_eq!(all.resident(&addresses), 2 << 20);
}

fn report() -> Report {
    Report {
        registered: 1,
        closed: 1,
        by_state: BTreeMap::new(),
        by_closed_code: BTreeMap::new(),
        by_delivery_mode: BTreeMap::new(),
        lifecycle_p50_ms: 0.0,
        lifecycle_p95_ms: 0.0,
        lifecycle_p50_domain_hours: 0.0,
        cases_per_second: 0.0,
        events_published: 3,
        events_consumed: 4,
        restarted: Vec::new(),
        undrained: None,
        failures: Vec::new(),
        waiting: 0,
        dead_letters: 0,
        lost: 0,
        duplicated_effects: 0,
        differences: 0,
        rss_mb: 0.0,
        wall_seconds: 0.0,
        domain_days: 0.0,
        stuck: Vec::new(),
    }
}

#[test]
fn what_was_not_handled_is_told_and_is_a_failure() {
    assert!(report().is_clean());
    assert!(report().table().contains(" 3 published, 4 consumed, 0 waiting, 0 dead"));
    let undrained = Report { undrained: Some("1 events unsent".into()), ..report() };
    assert!(!undrained.is_clean() && undrained.table().contains("1 events unsent"));
    let restarted = Report { restarted: vec!["staffing".into()], ..report() };
    assert!(restarted.is_clean() && restarted.table().contains("at least 3 published"));
    let untold = Report { failures: vec!["`cell` of analytics: it is away".into()], ..report() };
    assert!(!untold.is_clean() && untold.table().contains("`cell` of analytics: it is away"));
}

#[test]
fn a_case_is_lost_by_what_was_told_and_not_for_want_of_it() {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let acknowledged: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    let closed = "closed|9|CJ-0112|place|worker|resolved";
    let cases = map(&[("a", closed), ("b", "signed|4|CJ-0112|place||"), ("c", closed)]);
    let facts = map(&[("a", closed), ("b", "signed|4|CJ-0112|place||")]);
    let all = Fates::of(&acknowledged, Some(&cases), Some(&facts));
    assert_eq!((all.closed, all.lost), (2, 2), "one is still open, of one analytics knows nothing");
    assert_eq!(all.by_state, BTreeMap::from([("closed".to_owned(), 2), ("signed".to_owned(), 1)]));
    assert_eq!(all.by_closed_code, BTreeMap::from([("resolved".to_owned(), 2)]));
    assert_eq!(all.by_delivery_mode, BTreeMap::from([("worker".to_owned(), 2)]));
    assert_eq!(Fates::of(&acknowledged, Some(&map(&[])), Some(&facts)).lost, 3);
    assert_eq!(Fates::of(&acknowledged, Some(&cases), None), Fates { lost: 1, ..all });
    let by_facts = Fates { lost: 1, ..Fates::default() };
    assert_eq!(Fates::of(&acknowledged, None, Some(&facts)), by_facts);
    assert_eq!(Fates::of(&acknowledged, None, None), Fates::default());
}

/// Two requests, and what identity had published before.
fn run(acknowledged: [&str; 2], published: i64) -> Run {
    let ended = Ended {
        case_id: acknowledged[0].to_owned(),
        state: CaseState::Closed,
        active: Duration::from_secs(1),
        domain: chrono::Duration::hours(1),
    };
    Run {
        acknowledged: acknowledged.map(str::to_owned).into(),
        ended: vec![ended],
        stuck: vec![format!("case {}", acknowledged[1])],
        wall: Duration::from_secs(7_200),
        domain: chrono::Duration::days(1),
        before: counters(&[("identity", 1, published, 0)]),
        addresses: Addresses::all_at(fake::NOWHERE),
        drain: Duration::ZERO,
    }
}

#[test]
fn a_run_and_the_one_after_it_are_counted_as_one() {
    let both = run(["a", "b"], 10).and(run(["c", "d"], 20));
    assert_eq!(both.acknowledged, BTreeSet::from(["a", "b", "c", "d"].map(str::to_owned)));
    let ended: Vec<_> = both.ended.iter().map(|life| life.case_id.as_str()).collect();
    assert_eq!((ended, both.stuck), (vec!["a", "c"], vec!["case b".to_owned(), "case d".to_owned()]));
    assert_eq!((both.wall, both.domain), (Duration::from_secs(14_400), chrono::Duration::days(2)));
    let done = counters(&[("identity", 1, 25, 0)]).since(&both.before);
    assert_eq!((done.published, done.restarted), (15, Vec::new()), "since the first began");
}

#[test]
fn of_many_that_got_stuck_the_first_are_told() {
    let stuck = |count: usize| (0..count).map(|n| format!("case {n}")).collect::<Vec<_>>();
    assert_eq!(brief(stuck(20)), stuck(20));
    let told = brief(stuck(23));
    assert_eq!((told.len(), told[20].as_str()), (21, "… and 3 more"));
}

#[tokio::test]
async fn a_run_is_reported_though_nobody_answers_any_more() {
    let run = Run { stuck: Vec::new(), ..run(["a", "b"], 10) };
    let suite = Suite::patient(&run.addresses, Duration::from_secs(1)).expect("addresses");
    let operator = Session::new(&suite, Account::stranger("it_operator"));
    let (report, outcome) = make(&suite, &operator, run).await.expect("a report all the same");
    assert_eq!((report.registered, report.lost), (2, 0), "nothing is known to be lost");
    let (first, others) = outcome.failures.split_first().expect("nothing could be compared");
    assert!(!first.error.contains("not asked again"), "{first}");
    let waited = others.iter().find(|failure| !failure.error.contains("not asked again"));
    assert!(waited.is_none(), "nobody is waited for at every comparison: {waited:?}");
    // The figures of each, the cases and the facts.
    let untold = SERVICES.len() + 2;
    assert_eq!(report.failures.len(), outcome.failures.len() + untold, "{:#?}", report.failures);
    assert!(report.failures.iter().any(|failure| failure.starts_with("the figures of staffing: ")));
    assert!(report.undrained.is_some());
    assert!(!Report { undrained: None, ..report }.is_clean(), "what was not compared may differ");
}
