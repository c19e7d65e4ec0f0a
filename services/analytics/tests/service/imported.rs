//! An import is one event of many cases: counted like their lives, never over what is known better, the same after a rebuild.

use crate::support::{
    COMMUNITIES, DISTRICT, analyst, board, digest, digests, rebuild, start,
    story::{Story, Verdict, at},
};
use chassis::{clock::new_id, clock::to_proto, event::Event, testing::TestService};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use proto::case_routing::v1::*;
use uuid::Uuid;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn number(service: &TestService<analytics::App>, sql: &str) -> i64 {
    let mut conn = service.db().conn().await.unwrap();
    let row: Number =
        diesel_async::RunQueryDsl::get_result(sql_query(sql.to_owned()), &mut *conn).await.unwrap();
    row.n
}

/// A case closed in time, of the first community.
fn closed(case_id: Uuid, version: i64, hour: i64) -> ImportedFact {
    let hours = |n| Some(to_proto(at("2026-01-05", 9) + TimeDelta::hours(hour + n)));
    ImportedFact {
        case_id: case_id.as_bytes().to_vec(),
        version,
        state: CaseState::Closed.into(),
        place_unit: 1,
        item: 1,
        first_receiver_org: 1,
        delivery_mode: DeliveryMode::GovDirect.into(),
        closed_code: ClosedCode::Resolved.into(),
        registered_time: hours(0),
        accepted_time: hours(1),
        resolve_due_time: hours(100),
        completed_time: hours(30),
        closed_time: hours(40),
        intake_in_time: true,
        elapsed_seconds: 29 * 3_600,
        elapsed_unit: LimitUnit::WorkDay.into(),
        ..Default::default()
    }
}

fn event(cases: Vec<ImportedFact>) -> Event {
    let batch = new_id();
    let message = CasesImported {
        batch_id: batch.to_string(),
        import_id: new_id().to_string(),
        unit_ids: COMMUNITIES.map(|unit| unit.to_string()).to_vec(),
        org_ids: vec![new_id().to_string()],
        items: vec![ImportedItem { item_code: "roof".into(), line: "housing".into(), ..Default::default() }],
        cases,
    };
    Event::of("case-routing", at("2026-02-20", 9), batch, 1, &message)
}

#[tokio::test]
async fn imported_cases_count_on_their_own_days_and_come_out_the_same_after_a_rebuild() {
    let service = start().await;
    let (first, bad, open, task) = (new_id(), new_id(), new_id(), new_id());
    let rated = |fact: ImportedFact, grade| ImportedFact { grade, rated_time: fact.closed_time, ..fact };
    let again = |fact: ImportedFact| ImportedFact { repeats: true, ..fact };
    let dispatched = ImportedFact {
        state: CaseState::Dispatched.into(),
        closed_code: 0,
        completed_time: None,
        closed_time: None,
        resolve_due_time: Some(to_proto(at("2026-04-05", 9))),
        lead_task_id: task.as_bytes().to_vec(),
        ..closed(open, 4, 0)
    };
    let import = event(vec![rated(closed(first, 5, 0), 5), again(rated(closed(bad, 5, 24), 1)), dispatched]);
    service.deliver(import.clone()).await;
    service.deliver(import).await;
    assert_eq!(number(&service, "SELECT count(*) AS n FROM event_log").await, 1);
    assert_eq!(number(&service, "SELECT count(*) AS n FROM parked_events").await, 0);
    let place = COMMUNITIES[0];
    let mut expected = vec![
        (first.to_string(), format!("closed|5|roof|{place}|gov_direct|resolved")),
        (bad.to_string(), format!("closed|5|roof|{place}|gov_direct|resolved")),
        (open.to_string(), format!("dispatched|4|roof|{place}|gov_direct|")),
    ];
    expected.sort();
    assert_eq!(digests(&service, "case", 10).await, expected);
    let days = [("2026-01-05", "registered=2;closed=1"), ("2026-01-06", "registered=1;closed=1")];
    let days: Vec<_> =
        days.iter().map(|(day, value)| (format!("{place}|roof|{day}"), (*value).to_owned())).collect();
    assert_eq!(digests(&service, "rollup", 10).await, days);
    assert_eq!(
        digests(&service, "outcome", 10).await,
        [(format!("{place}|roof"), "ended_resolved=2;mode_gov_direct=2".to_owned())]
    );
    assert_eq!(
        digests(&service, "due", 10).await,
        [(open.to_string(), "2026-04-05T01:00:00.000000Z".to_owned())]
    );
    let sum = async |what: &str| {
        number(
            &service,
            &format!("SELECT coalesce(sum({what}), 0)::bigint AS n FROM rollups WHERE line = '*'"),
        )
        .await
    };
    for (what, n) in [
        ("registered", 3),
        ("intake_in_time", 3),
        ("due_on_time", 2),
        ("closed", 2),
        ("accepted", 3),
        ("repeated", 1),
        ("rated_good", 1),
        ("rated_bad", 1),
        ("tasks_issued", 1),
        // What an import cannot tell is no member of the populations that ask for it.
        ("first_closed", 0),
        ("callback_due", 0),
        ("routed", 0),
        ("closed_dispatched", 0),
    ] {
        assert_eq!(sum(what).await, n, "{what}");
    }
    let clocks = |what: &str| {
        format!("SELECT sum({what})::bigint AS n FROM duration_rollups WHERE line = '*' AND clock_unit = 3")
    };
    assert_eq!(number(&service, &clocks("seconds")).await, 2 * 29 * 3_600);
    assert_eq!(number(&service, &clocks("count")).await, 2);
    assert_eq!(board(&service, &analyst(), Some(DISTRICT)).await.by_state.len(), 2);

    // Many at once, on so many days that each kind of cell is written by itself, and more than are applied at once; life goes on.
    let many = (0..12_000).map(|n| closed(new_id(), 3, n % 8_000)).collect();
    service.deliver(event(many)).await;
    let story = Story::whole(at("2026-02-25", 9), place, "roof", "housing");
    service.deliver_all(story.events).await;
    let before = digest(&service).await;
    assert_eq!(number(&service, "SELECT count(*) AS n FROM case_facts").await, 12_004);
    assert_eq!(digests(&service, "cell", 1_000).await, digests(&service, "cell_recount", 1_000).await);
    assert_eq!(rebuild(&service, new_id()).await.digest, before.digest);
    assert_eq!(digest(&service).await, before);
    service.stop().await;
}

#[tokio::test]
async fn an_import_never_overwrites_what_is_known_by_a_higher_version() {
    let service = start().await;
    let mut story = Story::register(at("2026-02-02", 9), COMMUNITIES[2]);
    story.accept(at("2026-02-02", 10), at("2026-02-10", 9), true);
    story.triage(at("2026-02-02", 11), "noise", "urban");
    // The last event overtook the import: they have different keys.
    service.deliver(story.events[2].clone()).await;
    let before = digests(&service, "case", 10).await;
    let newer = new_id();
    service
        .deliver(event(vec![closed(story.case_id, 2, 0), closed(story.case_id, 3, 0), closed(newer, 1, 0)]))
        .await;
    let mut expected = before;
    expected.push((newer.to_string(), format!("closed|1|roof|{}|gov_direct|resolved", COMMUNITIES[0])));
    expected.sort();
    assert_eq!(digests(&service, "case", 10).await, expected);
    // What only the import knows is learnt all the same.
    assert_eq!(number(&service, "SELECT count(*) AS n FROM case_facts WHERE intake_in_time").await, 2);
    let held = digest(&service).await;
    assert_eq!(rebuild(&service, new_id()).await.digest, held.digest);
    service.stop().await;
}

#[tokio::test]
async fn an_imported_case_that_still_waits_is_in_time_when_it_is_decided_in_time() {
    let service = start().await;
    let mut story = Story::register(at("2026-02-20", 8), COMMUNITIES[0]);
    story.accept(at("2026-02-20", 10), at("2026-03-06", 9), true);
    let waits = ImportedFact {
        state: CaseState::Registered.into(),
        delivery_mode: 0,
        closed_code: 0,
        registered_time: Some(to_proto(at("2026-02-20", 8))),
        accepted_time: None,
        resolve_due_time: None,
        completed_time: None,
        closed_time: None,
        intake_in_time: false,
        elapsed_seconds: 0,
        ..closed(story.case_id, 1, 0)
    };
    service.deliver(event(vec![waits])).await;
    let decided = "SELECT count(*) AS n FROM case_facts WHERE intake_in_time IS NOT NULL";
    assert_eq!(number(&service, decided).await, 0);
    service.deliver(story.events.remove(1)).await;
    assert_eq!(number(&service, "SELECT count(*) AS n FROM case_facts WHERE intake_in_time").await, 1);
    service.stop().await;
}

#[tokio::test]
async fn an_import_that_names_what_it_does_not_list_is_parked_whole() {
    let service = start().await;
    let broken = ImportedFact { item: 7, ..closed(new_id(), 1, 0) };
    service.deliver(event(vec![closed(new_id(), 1, 0), broken])).await;
    assert_eq!(number(&service, "SELECT count(*) AS n FROM parked_events").await, 1);
    assert_eq!(number(&service, "SELECT count(*) AS n FROM case_facts").await, 0);
    service.stop().await;
}

/// Whatever of it comes first, another system's work and end are not what counts once it was opened again.
#[tokio::test]
async fn an_imported_case_that_is_opened_again_counts_by_what_came_of_it_here() {
    let service = start().await;
    for import_first in [true, false] {
        let mut story = Story::register(at("2026-01-05", 9), COMMUNITIES[0]);
        story.events.clear();
        story.version = 5;
        story
            .reopen(at("2026-02-21", 9), at("2026-03-05", 9))
            .answer(at("2026-02-22", 9))
            .verify(at("2026-02-23", 9), Verdict::good())
            .close(at("2026-02-24", 9), ClosedCode::BeyondAuthority);
        let import = event(vec![closed(story.case_id, 5, 0)]);
        if import_first {
            service.deliver(import.clone()).await;
        }
        service.deliver_all(story.events).await;
        if !import_first {
            service.deliver(import).await;
        }
    }
    let counted = "SELECT count(*) AS n FROM case_facts WHERE first_closed_at IS NOT NULL AND NOT once_resolved \
                   AND elapsed_seconds IS NULL AND elapsed_unit = 0";
    assert_eq!(number(&service, counted).await, 2);
    let ends = "SELECT count(DISTINCT (state_since, closed_at, ended_at)) AS n FROM case_facts";
    assert_eq!(number(&service, ends).await, 1, "nor when that was");
    let held = digest(&service).await;
    assert_eq!(rebuild(&service, new_id()).await.digest, held.digest);
    service.stop().await;
}

#[tokio::test]
async fn what_another_system_did_too_late_was_late_whichever_comes_first() {
    let service = start().await;
    // Events that overtake the import may carry what was done there.
    for (import_first, rated) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut story = Story::register(at("2026-01-05", 9), COMMUNITIES[0]);
        story.events.clear();
        story.version = 5;
        let late = ImportedFact {
            resolve_due_time: Some(to_proto(at("2026-01-05", 18))),
            ..closed(story.case_id, 5, 0)
        };
        if rated {
            story.facts.set_state(CaseState::Closed);
            story.facts.set_closed_code(ClosedCode::Resolved);
            story.facts.accepted_time = late.accepted_time;
            story.facts.resolve_due_time = late.resolve_due_time;
            story.facts.completed_time = late.completed_time;
            story.rate(at("2026-02-20", 12), 1, Some(true));
        }
        story
            .reopen(at("2026-02-21", 9), at("2026-03-05", 9))
            .answer(at("2026-02-22", 9))
            .verify(at("2026-02-23", 9), Verdict::good());
        let import = event(vec![late]);
        if import_first {
            service.deliver(import.clone()).await;
        }
        service.deliver_all(story.events).await;
        if !import_first {
            service.deliver(import).await;
        }
    }
    let late = "SELECT count(*) AS n FROM case_facts WHERE late_before = '2026-01-05/2026-01-06' \
                AND NOT missed_before";
    assert_eq!(number(&service, late).await, 4);
    // On time since it was opened again; late in January for all that.
    for (what, day) in
        [("overdue_in", "2026-01-05"), ("overdue_out", "2026-01-06"), ("due_on_time", "2026-02-22")]
    {
        let on_its_day = format!(
            "SELECT coalesce(sum({what}), 0)::bigint AS n FROM rollups WHERE line = '*' AND day = '{day}'"
        );
        assert_eq!(number(&service, &on_its_day).await, 4, "{what}");
    }
    assert_eq!(digests(&service, "cell", 1_000).await, digests(&service, "cell_recount", 1_000).await);
    let held = digest(&service).await;
    assert_eq!(rebuild(&service, new_id()).await.digest, held.digest);
    service.stop().await;
}

#[tokio::test]
async fn an_import_that_was_overtaken_tells_the_same_as_one_that_was_not() {
    let service = start().await;
    let mut pairs = Vec::new();
    for import_first in [true, false] {
        let (done, open, task, gone) = (new_id(), new_id(), new_id(), new_id());
        let dispatched = ImportedFact {
            state: CaseState::Dispatched.into(),
            closed_code: 0,
            completed_time: None,
            closed_time: None,
            resolve_due_time: Some(to_proto(at("2026-04-05", 9))),
            lead_task_id: task.as_bytes().to_vec(),
            ..closed(open, 4, 0)
        };
        let handed_off = ImportedFact {
            state: CaseState::HandedOff.into(),
            delivery_mode: 0,
            closed_code: ClosedCode::HandedOff.into(),
            accepted_time: None,
            completed_time: None,
            resolve_due_time: None,
            elapsed_seconds: 0,
            ..closed(gone, 4, 0)
        };
        let import = event(vec![closed(done, 5, 0), dispatched, handed_off]);
        let facts = |state: CaseState| {
            let times = closed(done, 5, 0);
            let mut facts = CaseFacts {
                place_unit_id: COMMUNITIES[0].to_string(),
                item_code: "roof".into(),
                line: "housing".into(),
                delivery_mode: DeliveryMode::GovDirect.into(),
                registered_time: times.registered_time,
                accepted_time: times.accepted_time,
                ..Default::default()
            };
            facts.set_state(state);
            match state {
                CaseState::Closed => {
                    facts.set_closed_code(ClosedCode::Resolved);
                    (facts.completed_time, facts.resolve_due_time) =
                        (times.completed_time, times.resolve_due_time);
                }
                _ => facts.resolve_due_time = Some(to_proto(at("2026-04-05", 9))),
            }
            Some(facts)
        };
        let rating = RatingReceived {
            case_id: done.to_string(),
            facts: facts(CaseState::Closed),
            grade: 5,
            ..Default::default()
        };
        let signed = TaskSigned {
            case_id: open.to_string(),
            task_id: task.to_string(),
            facts: facts(CaseState::Signed),
            in_time: true,
            ..Default::default()
        };
        // An emergency that the import handed off is taken back, and withdrawn.
        let back = CaseReturnedFromReferral {
            case_id: gone.to_string(),
            facts: facts(CaseState::Accepted),
            ..Default::default()
        };
        let withdrawn = CaseWithdrawn {
            case_id: gone.to_string(),
            facts: facts(CaseState::Withdrawn),
            ..Default::default()
        };
        let later = [
            Event::of("case-routing", at("2026-02-21", 9), done, 6, &rating),
            Event::of("case-routing", at("2026-02-21", 10), open, 5, &signed),
            Event::of("case-routing", at("2026-02-21", 11), gone, 5, &back),
            Event::of("case-routing", at("2026-02-21", 12), gone, 6, &withdrawn),
        ];
        if import_first {
            service.deliver(import.clone()).await;
        }
        for event in later {
            service.deliver(event).await;
        }
        if !import_first {
            service.deliver(import).await;
        }
        pairs.push((done, open, task, gone));
    }
    let among = |ids: [Uuid; 2]| format!("'{}', '{}'", ids[0], ids[1]);
    let done = among([pairs[0].0, pairs[1].0]);
    let told = "version, state, state_since, closed_at, ended_at, elapsed_seconds, elapsed_unit, good_rated_at, \
                intake_in_time";
    let different = format!("SELECT count(DISTINCT ({told})) AS n FROM case_facts WHERE case_id IN ({done})");
    assert_eq!(number(&service, &different).await, 1);
    let complete = format!(
        "SELECT count(*) AS n FROM case_facts WHERE case_id IN ({done}) AND closed_at IS NOT NULL \
         AND elapsed_seconds IS NOT NULL AND good_rated_at IS NOT NULL"
    );
    assert_eq!(number(&service, &complete).await, 2);
    let gone = among([pairs[0].3, pairs[1].3]);
    let ends = format!(
        "SELECT count(DISTINCT (state, state_since, ended_at)) AS n FROM case_facts WHERE case_id IN ({gone})"
    );
    assert_eq!(number(&service, &ends).await, 1, "how it ended here, when that was");
    let tasks = among([pairs[0].2, pairs[1].2]);
    let issued = format!(
        "SELECT count(*) AS n FROM task_facts WHERE task_id IN ({tasks}) AND issued_at IS NOT NULL AND sign_due \
         AND signed_in_time"
    );
    assert_eq!(number(&service, &issued).await, 2);
    let unknown = "SELECT coalesce(sum(closed), 0)::bigint AS n FROM process_rollups";
    assert_eq!(number(&service, unknown).await, 0, "nothing is known of the process of another system");
    service.stop().await;
}
