//! What reconcile compares of the figures: every cell of the rollups with its recount from the facts, so that whatever is counted
//! twice, or not at all, is told; and what each case, task and mediation counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::support::{
    COMMUNITIES, digests, in_turn, start,
    story::{Story, Verdict, at},
};
use analytics::{
    App,
    digest::Digests,
    domain::{Counter, process::Measure},
};
use chassis::{Error, clock::new_id, ops::DigestSource, testing::TestService};
use diesel::sql_query;
use diesel_async::RunQueryDsl;
use proto::case_routing::v1::*;

/// Lives that count what there is to count.
fn stories() -> Vec<Story> {
    let [a, b, c] = COMMUNITIES;
    let day = |n: i64| at("2026-02-02", 9 + 24 * n);
    let whole = Story::whole(day(0), a, "roof", "housing");

    // Objected to, supervised, extended, badly rated, put right, called back again.
    let mut bad = Story::register(day(0), b);
    bad.facts.repeats = true;
    bad.accept(day(0), day(1), true).triage(day(0), "noise", "urban");
    let task = bad.dispatch(day(0), DeliveryMode::GovDirect, true, true);
    let partly = Verdict { grade: 3, resolution: Resolution::PartlyResolved, ..Verdict::good() };
    bad.sign(day(0), task, true)
        .object(day(0), task)
        .rule(day(0), task, true)
        .contact(day(0), true)
        .supervise(day(1), 1, Some(true))
        .extend(day(1), day(5))
        .complete(day(3), task, true, 3 * 86_400)
        .verify(day(4), partly)
        .rate(day(5), 1, Some(true))
        .rework(day(5), task, day(8))
        .complete(day(6), task, true, 5 * 86_400)
        .verify(day(7), partly)
        .close(day(8), ClosedCode::PartlyResolved);

    let mut late = Story::register(day(0), b);
    late.accept(day(0), day(1), false).triage(day(0), "noise", "urban");
    let task = late.dispatch(day(0), DeliveryMode::Volunteer, false, false);
    late.contact(day(1), false)
        .complete(day(3), task, false, 3 * 86_400)
        .verify(day(4), Verdict { callback: CallbackOutcome::Unreached, grade: 0, ..Verdict::good() })
        .close(day(5), ClosedCode::SelfGoverned);

    let mut whistled = Story::register(day(1), c);
    whistled.accept(day(1), day(40), true).triage(day(1), "roof", "housing");
    let task = whistled.dispatch(day(1), DeliveryMode::GovDirect, true, true);
    whistled.sign(day(1), task, true).contact(day(1), true);
    let called = whistled.whistle(day(2));
    whistled
        .sign(day(2), called, true)
        .report(day(2), called, true)
        .appraise(day(3), called, true, true)
        .appraise(day(3), called, false, true);

    let mut waits = Story::register(day(1), c);
    waits.accept(day(1), day(9), true).triage(day(1), "roof", "housing");
    waits.dispatch(day(1), DeliveryMode::GovDirect, true, true);
    waits.contact(day(2), true).suspend(day(3));

    let mut spot = Story::register(day(2), a);
    spot.facts.set_origin(Origin::Patrol);
    spot.facts.set_nature(Nature::Component);
    spot.facts.solved_on_spot = true;
    spot.accept(day(2), day(9), true).triage(day(2), "lamp", "urban").close(day(2), ClosedCode::Resolved);

    let mut above = Story::register(day(2), a);
    above.facts.set_origin(Origin::TopDown);
    above.accept(day(2), day(9), true);
    let mut declined = Story::register(day(2), a);
    declined.decline(day(2));
    let mut merged = Story::register(day(2), a);
    merged
        .merge(day(2), whole.case_id)
        .rate(day(3), 1, Some(true))
        .rectify(day(6), true, CallbackOutcome::Unspecified)
        .rectify(day(7), true, CallbackOutcome::Reached);

    let mut dispute = Story::register(day(2), b);
    dispute.accept(day(2), day(20), true).triage(day(2), "quarrel", "justice");
    let mediation = new_id();
    dispute
        .open_mediation(day(3), mediation)
        .settle(day(4), mediation, true, day(30))
        .perform(day(9), mediation);
    vec![whole, bad, late, whistled, waits, spot, above, declined, merged, dispute]
}

type Cells = BTreeMap<String, String>;

async fn cells(service: &TestService<App>, subject: &str) -> Cells {
    let listed = digests(service, subject, 1_000).await;
    assert!(listed.is_sorted_by(|(a, _), (b, _)| a < b), "{subject} is in the order of its keys");
    listed.into_iter().collect()
}

/// The cells that are not what the facts make of them: as they should be, and as they are.
async fn differing(service: &TestService<App>) -> BTreeMap<String, (String, String)> {
    let (kept, counted) = (cells(service, "cell").await, cells(service, "cell_recount").await);
    let keys: BTreeSet<&String> = kept.keys().chain(counted.keys()).collect();
    let value = |cells: &Cells, key: &String| cells.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| (key.clone(), (value(&counted, key), value(&kept, key))))
        .filter(|(_, (expected, found))| expected != found)
        .collect()
}

async fn execute(service: &TestService<App>, sql: String) -> usize {
    let mut conn = service.db().conn().await.unwrap();
    sql_query(sql).execute(&mut *conn).await.unwrap()
}

fn number(value: &str, name: &str) -> i64 {
    let named = |part: &str| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    value.split(';').find_map(named).unwrap_or(0)
}

/// A table of rollups, and the columns of its key.
type Table = (&'static str, &'static str);

const COUNTERS: Table = ("rollups", "unit_id, line, day, item_code");
const STOCK: Table = ("stock_rollups", "unit_id, line, month, item_code");
const DURATIONS: Table = ("duration_rollups", "unit_id, line, day, item_code, clock_unit, bucket");
const STATES: Table = ("state_counts", "unit_id, line, state");
const DUE: Table = ("open_due", "unit_id, line, hour");
const PROCESSES: Table = ("process_rollups", "unit_id, day, process_version, line, item_code");

/// The first cell of a table that counts something in a column.
fn first((table, key): Table, column: &str) -> String {
    format!("({key}) = (SELECT {key} FROM {table} WHERE {column} > 0 ORDER BY {key} LIMIT 1)")
}

/// Counts one more in one cell, looks, and takes it back. Whether there is a cell that counts something there.
async fn counted_twice(service: &TestService<App>, table: Table, column: &str) -> bool {
    let cell = first(table, column);
    let add = |n: i64| format!("UPDATE {} SET {column} = {column} + {n} WHERE {cell}", table.0);
    if execute(service, add(1)).await == 0 {
        return false;
    }
    let different = differing(service).await;
    assert_eq!(different.len(), 1, "{column} of one cell of {}: {different:?}", table.0);
    for (key, (expected, found)) in &different {
        assert_eq!(number(found, column), number(expected, column) + 1, "{column} of {key}");
    }
    assert_eq!(execute(service, add(-1)).await, 1);
    true
}

/// The columns of a table in each of which something was counted twice in turn.
async fn counted_twice_each<'a>(
    service: &TestService<App>,
    table: Table,
    columns: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut counted = BTreeSet::new();
    for column in columns {
        if counted_twice(service, table, column).await {
            counted.insert(column);
        }
    }
    counted
}

/// Of each family of counters, those that lives count which have everything in them.
const FAMILIES: [&str; 62] = [
    "intake_in_time",
    "accepted",
    "repeated",
    "registered_above",
    "field_patrol",
    "field_solved",
    "routed",
    "routed_in_time",
    "due",
    "due_deferred",
    "due_verified",
    "due_on_time",
    "due_extended",
    "due_supervised",
    "supervisions",
    "supervisions_in_time",
    "overdue_in",
    "overdue_out",
    "overdue_in_days",
    "overdue_out_days",
    "closed",
    "closed_dispatched",
    "closed_first_lead",
    "closed_lead_changes",
    "closed_rated",
    "mode_gov_direct",
    "mode_volunteer",
    "ended_partly_resolved",
    "ended_merged",
    "first_closed",
    "once_resolved",
    "callback_due",
    "callback_unreached",
    "callback_valid",
    "callback_contacted",
    "callback_resolvable",
    "callback_resolved",
    "callback_partly",
    "callback_graded",
    "callback_grades",
    "callback_satisfied",
    "callback_well_satisfied",
    "rated",
    "rated_good",
    "rated_bad",
    "bad_valid",
    "bad_rectified",
    "bad_called_back",
    "tasks_issued",
    "tasks_signed_in_time",
    "tasks_objected",
    "tasks_ruled",
    "tasks_upheld",
    "tasks_submitted",
    "tasks_returned",
    "whistles",
    "whistles_reported",
    "whistles_solved",
    "whistles_needed",
    "disputes_settled_within",
    "agreements_due",
    "agreements_performed",
];

#[tokio::test]
async fn whatever_is_counted_twice_differs_from_its_recount() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    assert_eq!(differing(&service).await, BTreeMap::new(), "nothing was");
    let counters = Counter::ALL.iter().map(|counter| counter.name());
    let counted = counted_twice_each(&service, COUNTERS, counters).await;
    let missing: Vec<&str> = FAMILIES.into_iter().filter(|name| !counted.contains(name)).collect();
    assert!(missing.is_empty(), "nobody counted {missing:?}");
    let counters = Counter::STOCK.map(Counter::name);
    let counted = counted_twice_each(&service, STOCK, counters).await;
    assert_eq!(counted, BTreeSet::from(counters), "the sums of the stock");
    let measures = Measure::ALL.iter().map(|measure| measure.name());
    let counted = counted_twice_each(&service, PROCESSES, measures).await;
    for name in ["decided", "closed", "steps", "objections", "returns", "contacts", "on_time", "reworked"] {
        assert!(counted.contains(name), "nobody counted {name} of a process");
    }
    for (table, column) in [(DURATIONS, "count"), (DURATIONS, "seconds"), (STATES, "count"), (DUE, "count")] {
        assert!(counted_twice(&service, table, column).await, "{column} of {}", table.0);
    }
    assert_eq!(differing(&service).await, BTreeMap::new(), "all was taken back");

    // A cell that is lost, and one that no fact counts in.
    execute(&service, format!("DELETE FROM rollups WHERE {}", first(COUNTERS, "callback_valid"))).await;
    let lost = differing(&service).await;
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost.values().all(|(expected, found)| found.is_empty() && expected.contains("callback_valid=")));
    execute(&service, "UPDATE state_counts SET unit_id = gen_random_uuid() WHERE state = 3".to_owned()).await;
    let strange = differing(&service).await;
    let mut strangers = strange.values().filter(|(expected, _)| expected.is_empty());
    assert!(strangers.any(|(_, found)| found == "count=1"), "{strange:?}");
    service.stop().await;
}

#[tokio::test]
async fn cells_come_whole_in_pages_of_any_size() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    for subject in ["cell", "cell_recount"] {
        let whole = digests(&service, subject, 1_000).await;
        assert!(whole.len() > 50, "{whole:?}");
        for page_size in [1, 7] {
            assert_eq!(digests(&service, subject, page_size).await, whole, "{subject}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn sums_of_places_come_in_the_order_of_their_texts_in_pages_of_any_size() {
    let service = start().await;
    let day = at("2026-02-02", 9);
    let also = |item| Story::whole(day, COMMUNITIES[0], item, "housing");
    let mut due = Story::register(day, COMMUNITIES[1]);
    due.accept(day, at("2026-03-20", 9), true);
    let more = [also("roof"), also("roof.leak"), due];
    service.deliver_all(in_turn(&stories().into_iter().chain(more).collect::<Vec<_>>())).await;
    // Where a case lies may be unknown for a while.
    let (unknown, place) = (uuid::Uuid::nil(), COMMUNITIES[1]);
    for table in ["rollups", "state_counts", "open_due"] {
        let lost = format!("UPDATE {table} SET unit_id = '{unknown}' WHERE unit_id = '{place}'");
        execute(&service, lost).await;
    }
    for subject in ["rollup", "outcome", "state", "open_due", "due"] {
        let whole = digests(&service, subject, 1_000).await;
        assert!(!whole.is_empty() && whole.is_sorted(), "{subject}: {whole:?}");
        let last = &whole[whole.len() - 1].0;
        assert_eq!(last.starts_with('|'), subject != "due", "{subject}: {last}");
        for page_size in [1, 2, 7] {
            assert_eq!(digests(&service, subject, page_size).await, whole, "{subject}");
        }
    }
    let rollups = digests(&service, "rollup", 1_000).await;
    let key = |item: &str| format!("{}|{item}|2026-02-02", COMMUNITIES[0]);
    let place = |key: String| rollups.iter().position(|(known, _)| *known == key).expect("it is listed");
    assert!(place(key("roof.leak")) < place(key("roof")));
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_counted_within_one_call_goes_on_with_the_next() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    for subject in ["cell", "cell_recount", "rollup", "outcome", "state", "open_due", "due"] {
        let whole = digests(&service, subject, 1_000).await;
        // Without any time each call counts one batch of one place.
        let hurried = Digests::within(service.db().clone(), Duration::ZERO);
        let (mut all, mut asked, mut after) = (Vec::new(), 0, None);
        loop {
            asked += 1;
            assert!(asked < 10_000, "it never comes to an end");
            let page = match hurried.digests(subject, after.clone(), 7).await {
                Ok(page) => page,
                Err(Error::Exhausted { .. }) => {
                    // Nobody takes the page away from whoever waits for it.
                    let other = hurried.digests(subject, after.clone(), 8).await;
                    assert!(matches!(other, Err(Error::Exhausted { .. })), "{other:?}");
                    continue;
                }
                Err(error) => panic!("{}", error.chain()),
            };
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            all.extend(page.into_iter().map(|one| (one.key, one.value)));
        }
        assert_eq!(all, whole, "{subject}");
        assert!(asked > all.len() / 7 + 1, "{subject}: some pages were asked for more than once");
    }
    service.stop().await;
}

#[tokio::test]
async fn what_each_thing_counts_is_listed_by_its_id() {
    let service = start().await;
    let stories = stories();
    service.deliver_all(in_turn(&stories)).await;
    let mut ids: Vec<String> = stories.iter().map(|story| story.case_id.to_string()).collect();
    ids.sort();
    let cases = digests(&service, "case_counts", 3).await;
    assert_eq!(cases.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), ids);
    let of = |story: &Story| {
        let id = story.case_id.to_string();
        cases.iter().find(|(known, _)| *known == id).map(|(_, value)| value.as_str()).expect("its counts")
    };
    for part in ["bad_called_back=1", "rated_bad=1", "callback_partly@2026-02-08=1", "process_objections=1"] {
        assert!(of(&stories[1]).split(';').any(|known| known == part), "{part} in {}", of(&stories[1]));
    }
    for part in ["bad_valid=1", "bad_rectified=1", "bad_called_back=1"] {
        assert!(of(&stories[8]).split(';').any(|known| known == part), "{part} in {}", of(&stories[8]));
    }
    let tasks = digests(&service, "task_counts", 2).await;
    assert_eq!(tasks.len(), 6);
    assert!(tasks.iter().any(|(_, value)| value.contains("whistles_needed=1")), "{tasks:?}");
    let mediations = digests(&service, "mediation_counts", 1).await;
    let agreed = "agreements_due@2026-03-04=1;agreements_performed@2026-03-04=1";
    let expected = format!("{agreed};disputes_opened=1;disputes_settled=1;disputes_settled_within=1");
    assert_eq!(mediations.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), [expected]);
    service.stop().await;
}
