//! Random histories: whatever people try in whatever order, every decision keeps the invariants of
//! domain.md §2.2.4, versions grow by one per event, time never runs backwards, and refusals change nothing.
//! That the histories go everywhere is itself tested: they take every row of both state tables.

use std::collections::{BTreeSet, HashSet};

use calendar::TimeUnit;
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::state::trail;
use super::super::*;
use super::agreed;
use super::attempts::{Attempt, ITEMS, LED_THE_OTHER, attempt};
use super::table::{assist_objects, in_arbitration, in_state, ruled, with_whistle};
use super::world::*;
use crate::store::rows::{AgendaRow, kept_until};

pub(super) fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let wait = prop_oneof![6 => 0_i64..120, 2 => 120_i64..3_000, 1 => 3_000_i64..40_000];
    let attempt = (0_usize..10_000, prop::bool::weighted(0.8), 0_usize..14, 0_usize..8, wait);
    let attempt =
        attempt.prop_map(|(verb, fitting, by, pick, wait)| Attempt { verb, fitting, by, pick, wait });
    prop::collection::vec(attempt, 1..60)
}

/// Whom a case complains of: nobody, or any organisation, those that verify, rule and stand above others included.
fn subjects() -> impl Strategy<Value = Option<OrgId>> {
    prop_oneof![2 => Just(None::<OrgId>), 3 => prop::sample::select(ALL_ORGS.to_vec()).prop_map(Some)]
}

/// What must hold of every decision.
fn check(world: &World, before: &Case, decision: &Decision) {
    let case = &decision.case;
    assert_eq!(violations(case), Vec::<&str>::new(), "{:?} → {:?}", before.state, decision.timeline);
    assert_eq!(case.first_receiver, before.first_receiver, "the first receiver owns the case for good");
    let versions: Vec<i64> = decision.events.iter().map(|emitted| emitted.version).collect();
    let expected: Vec<i64> = (before.version + 1..).take(versions.len()).collect();
    assert_eq!(versions, expected);
    assert!(case.version > before.version);
    assert!(case.updated_at >= before.updated_at);
    assert!(decision.timeline.windows(2).all(|pair| pair[0].at <= pair[1].at));
    promises_stand(world, before, decision);
    waiting_is_counted(world, before, decision);
    for emitted in &decision.events {
        event_is_lawful(world, before, decision, &emitted.event);
    }
    for task in &case.tasks {
        assert!(task.due_at.is_some() || case.accepted_at.is_none() || task.state != TaskState::Issued);
        // how a task was sent is the edge between sender and receiver; nobody of society is ordered.
        let line = case.item.as_ref().and_then(|item| item.line.as_deref());
        let edge = world.routes.edge(task.sender, task.org, line, task.issued_at).map(EdgeKind::mode);
        let own = task.sender == task.org && task.mode == DispatchMode::Order;
        assert!(own || edge == Some(task.mode), "A-1: {task:?}");
    }
    // C-4: who handled it once stays out of its checks for good.
    let mut answered = before.answered_by.iter();
    assert!(answered.all(|org| case.answered_by.contains(org)), "C-4: forgotten");
    let judge = case.rating.as_ref().and_then(|rating| rating.judge).filter(|_| case.merged_into.is_none());
    assert!(judge.is_none_or(|judge| !case.handling_orgs().contains(&judge)), "C-4: who handled it judges");
    let judge = case.rating.as_ref().and_then(|rating| rating.judge);
    assert!(judge.is_none() || judge != case.complained_of, "C-4: whom it complains of judges");
    let judged = decision.events.iter().any(|emitted| emitted.event.name() == "RatingJudged");
    let stands = judged || case.rating.is_some() || !before.awaits_judgement();
    assert!(stands, "a bad rating is put aside unjudged: {:?}", decision.timeline);
    noted_once(case);
    whoever_is_asked_finds_it(case);
    let json = serde_json::to_value(case).unwrap();
    assert_eq!(&serde_json::from_value::<Case>(json).unwrap(), case);
}

/// What is to happen by itself stands in one place: in the agenda, or apart from it where the case is only kept.
fn noted_once(case: &Case) {
    let (row, kept) = (AgendaRow::of(case), kept_until(case));
    assert!(row.is_none() || kept.is_none(), "twice");
    assert!(row.is_some() || (case.state.is_finished() && case.counted_with().is_none()), "not at all");
    assert_eq!(row.map_or(kept, |row| row.due_at), case.next_timer_at());
}

/// Whoever is asked for something finds the case in a list, and reaches it.
fn whoever_is_asked_finds_it(case: &Case) {
    let asked = case.asked_orgs();
    assert!(asked.iter().all(|org| case.is_party(*org)), "{asked:?} are listed what they do not reach");
    let listed = AgendaRow::of(case).map_or(Vec::new(), |row| row.orgs);
    let found = |org: &OrgId| listed.contains(org);
    assert!(asked.iter().all(found), "{asked:?}");
    if case.state.is_finished() {
        return;
    }
    if let Some(objection) = case.objection.as_ref().filter(|_| case.state == CaseState::Objected) {
        let open = matches!(objection.state, ObjectionState::InArbitration | ObjectionState::InReview);
        let mut heard = objection.parties.iter().chain(&objection.arbiter).filter(|_| open);
        assert!(heard.all(found), "{objection:?}");
    }
    let verifies = case.verification.as_ref().filter(|_| case.state == CaseState::Verifying);
    assert!(verifies.is_none_or(|verification| found(&verification.verifier)));
    let mut open = case.supervisions.iter().filter(|known| known.state != SupervisionState::Cleared);
    assert!(open.all(|known| found(&case.supervised(known))));
}

/// C-2, C-3: a promise to the requester moves only by what is listed, never to an earlier day, and never past the law's.
fn promises_stand(world: &World, before: &Case, decision: &Decision) {
    let case = &decision.case;
    let told = |name: &str| decision.events.iter().any(|emitted| emitted.event.name() == name);
    let moves = ["CaseTriaged", "CaseExtended", "CaseResumed", "CaseSupplemented", "CaseReturnedFromSociety"];
    let may_move = moves.into_iter().any(told)
        || case.state == CaseState::Suspended
        || before.suspension.is_some()
        || before.state == CaseState::NeedSupplement;
    for (earlier, later) in before.clocks.iter().zip(&case.clocks) {
        assert_eq!(
            (earlier.kind, earlier.started_at),
            (later.kind, later.started_at),
            "clocks are only added"
        );
        if later.limit == earlier.limit {
            assert!(later.warned >= earlier.warned, "{}", earlier.kind);
        } else {
            let next = later.next_warning().filter(|_| later.is_running());
            let ahead = next.is_none_or(|(at, _)| at > case.updated_at);
            assert!(ahead, "{}: a mark of another limit lies behind", earlier.kind);
        }
        let promise = matches!(earlier.kind, ClockKind::Resolve | ClockKind::Rework);
        let may_shorten = match earlier.kind {
            // Until it has an item the house's own limit holds.
            ClockKind::Resolve => before.state == CaseState::Accepted && before.item.is_none(),
            // Less time to dispatch what turns out to be urgent.
            ClockKind::Dispatch => told("CaseTriaged"),
            _ => false,
        };
        assert!(
            later.due_at >= earlier.due_at || may_shorten,
            "{} moved from {} to {}",
            earlier.kind,
            earlier.due_at,
            later.due_at
        );
        if promise && !may_move {
            assert_eq!(earlier.due_at, later.due_at, "C-3: {:?} moved the promise", decision.timeline);
        }
    }
    let disputed = matches!(case.state, CaseState::Dispatched | CaseState::Objected | CaseState::Signed);
    let promised = case.resolve_clock().filter(|_| disputed && case.accepted_at.is_some());
    assert!(promised.is_none_or(Clock::is_running), "C-3: a dispute over duty does not stop the promise");
    let item = case.item.as_ref().and_then(|item| world.routes.item_version(&item.code, item.version));
    let Some(law) = item.and_then(|item| item.statutory_limit) else { return };
    for clock in &case.clocks {
        if matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework) {
            let (calendar, profile) = (&world.rules.calendar, &world.rules.profile);
            let lawful = calendar.add_paused(law, clock.started_at, &clock.pauses, profile).at;
            assert!(clock.due_at <= lawful, "C-2: {} until {}, by law {lawful}", clock.kind, clock.due_at);
        }
    }
}

/// How long a case has waited for a cause, as it is kept.
fn waited(case: &Case, cause: &str) -> TimeDelta {
    let known = case.waited.iter().filter(|waited| waited.cause_code == cause);
    known.map(|waited| TimeDelta::seconds(waited.seconds)).sum()
}

/// What a pause takes of its cause's days: its time, and no less than the days after the one it began on, nor than the working
/// days by which it moves a clock of days.
fn pause_costs(world: &World, before: &Case, from: Timestamp, to: Timestamp) -> TimeDelta {
    let rules = &world.rules;
    let least = (to - from).max(calendar::local_day(to) - calendar::local_day(from));
    let stand = before.clocks.iter().filter(|clock| {
        let kind = matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework | ClockKind::Stage);
        let hours = matches!(clock.limit.unit, TimeUnit::CalHour | TimeUnit::WorkHour);
        kind && !hours && clock.is_open()
    });
    let moved = stand.map(|clock| {
        let (first, last) = (clock.due_after(from, from, rules), clock.due_after(from, to, rules));
        let due = |days| rules.calendar.add(TimeUnit::WorkDay, days, first, &rules.profile).at;
        let days = (1..).take_while(|days| calendar::local_day(due(*days)) <= calendar::local_day(last));
        days.map(|_| TimeDelta::days(1)).sum::<TimeDelta>()
    });
    moved.fold(least, Ord::max)
}

/// C-3: what a suspension took is counted once it is over, whichever way it ended, and never forgotten.
fn waiting_is_counted(world: &World, before: &Case, decision: &Decision) {
    let case = &decision.case;
    let Some(over) = before.suspension.as_ref().filter(|_| case.suspension.is_none()) else {
        assert!(before.suspension.is_none() || before.suspension == case.suspension);
        assert_eq!(before.waited, case.waited, "C-3: counted while it lasts, or without");
        return;
    };
    for known in &before.waited {
        assert!(waited(case, &known.cause_code) >= waited(before, &known.cause_code), "C-3: forgotten");
    }
    let ended = decision.timeline.iter().find(|entry| entry.state != CaseState::Suspended).unwrap().at;
    let took = pause_costs(world, before, over.since, ended.min(over.resume_at.unwrap()));
    let counted = waited(case, &over.cause_code) - waited(before, &over.cause_code);
    assert!(took <= counted && counted < took + TimeDelta::seconds(1), "C-3: {counted} of {took}");
}

fn item_of(case: &Case) -> &str {
    case.item.as_ref().map_or("", |item| item.code.as_str())
}

/// Whether an organisation objected before to leading what the case is about now.
fn has_objected(before: &Case, now: &Case, org: OrgId) -> bool {
    let mut led = before.tasks.iter().filter(|task| task.part == TaskPart::Lead && task.org == org);
    led.any(|task| task.objected && task.item == item_of(now))
}

fn event_is_lawful(world: &World, before: &Case, decision: &Decision, event: &DomainEvent) {
    let case = &decision.case;
    match event {
        DomainEvent::CaseDeclined { .. } => {
            assert!(decision.timeline.iter().all(|entry| entry.actor != PersonRef::system()), "C-5");
        }
        DomainEvent::CaseExtended { .. } => {
            let promised = before.resolve_clock().unwrap();
            assert!(decision.case.updated_at <= promised.due_at, "C-2: extended before it was due");
            let approved = decision.timeline.iter().find(|entry| entry.event == "CaseExtended");
            assert_ne!(approved.map_or("", told_ref), "", "C-2: the requester was not told in writing");
            let by = approved.and_then(|entry| entry.org).expect("C-2: somebody approved it");
            if before.extension_count < SlaProfile::default().max_extensions {
                // Over its community's organisations and over partners the street answers for the case.
                let below = [STATION, COMMITTEE, GROUP, TEAM, CONTRACTOR].map(Some);
                let street = below.contains(&before.lead_org) && by == STREET_OFFICE;
                assert!(before.lead_org == Some(by) || street, "C-2: approved by {by}");
            } else {
                assert_eq!(by, GOVERNMENT, "C-2: beyond the usual number the level above approves");
            }
        }
        DomainEvent::CaseSuspended { cause_code, resume_at } => {
            let approved = decision.timeline.iter().find(|entry| entry.event == "CaseSuspended").unwrap();
            assert_ne!(told_ref(approved), "", "C-3: the requester was not told in writing");
            let kept = case.suspension.as_ref().map(|suspension| suspension.told_ref.as_str());
            assert_eq!(kept, Some(told_ref(approved)), "C-3: the writing is kept");
            let by = approved.org.expect("C-3: somebody approved it");
            let days = world.rules.suspension_causes.get(cause_code).expect("C-3: for a listed cause");
            let days = TimeDelta::days(i64::from(*days));
            let until = resume_at.expect("C-3: it ends by itself");
            let asked = until - approved.at;
            assert!(TimeDelta::zero() < asked && asked <= days, "C-3: {asked} at a time for {cause_code}");
            if waited(before, cause_code) + pause_costs(world, before, approved.at, until) <= days {
                let below = [STATION, COMMITTEE, GROUP, TEAM, CONTRACTOR].map(Some);
                let street = below.contains(&before.lead_org) && by == STREET_OFFICE;
                assert!(before.lead_org == Some(by) || street, "C-3: approved by {by}");
            } else {
                let above = by == GOVERNMENT && before.lead_org != Some(by);
                assert!(above, "C-3: beyond its days the level above approves");
            }
        }
        DomainEvent::CaseCompleted { task_id, .. } => {
            // A partner that waits for others has said what it did before.
            let shown = more_evidence(before, case, *task_id) || before.partner_is_done();
            assert!(shown, "C-6: completed without evidence");
        }
        DomainEvent::TaskSubmitted { task_id, part: TaskPart::Assist, .. } => {
            assert!(more_evidence(before, case, *task_id), "C-6: handed in without evidence");
        }
        DomainEvent::TaskObjected { org_id, task_id, .. } => {
            let task = before.task(*task_id).unwrap();
            let again = match task.part {
                TaskPart::Lead => has_objected(before, before, *org_id),
                TaskPart::Assist => task.objected,
            };
            assert!(!again, "C7: an organisation objects to a matter once");
            assert!(task.part == TaskPart::Lead || case.state == before.state, "a part holds nothing up");
        }
        DomainEvent::CaseDispatched { lead_org_id, .. }
        | DomainEvent::CaseRedispatched { lead_org_id, lead_changed: true, .. } => {
            let relieved = before.relieved.iter().any(|(org, of)| org == lead_org_id && of == item_of(case));
            let relieved = relieved && has_objected(before, case, *lead_org_id);
            assert!(!relieved || by_ruling(decision), "C7: sent back to {lead_org_id} without a ruling");
            let bound = bound_before(before, decision);
            assert!(bound.is_none_or(|lead| lead == *lead_org_id), "C-7: sent past {bound:?}, as ruled");
        }
        DomainEvent::CaseRedispatched { lead_org_id, .. } => {
            let objection = before.objection.as_ref().unwrap();
            assert!(by_ruling(decision) && *lead_org_id == before.lead_org.unwrap(), "C7: {objection:?}");
        }
        DomainEvent::VerificationStarted { verifier_org_id, .. } => {
            assert!(!case.kept_from_checks().contains(verifier_org_id), "C-4");
            let answered = decision.timeline.iter().find(|entry| entry.event == "CaseAnswered");
            let by_hand = answered.filter(|entry| is_by_hand(entry)).and_then(|entry| entry.org);
            assert_ne!(by_hand, Some(*verifier_org_id), "C-4: nobody checks their own answer");
        }
        DomainEvent::CaseAnswered { .. } => {
            let told = decision.timeline.iter().find(|entry| entry.event == "CaseAnswered").unwrap();
            let by = if is_by_hand(told) { told.org } else { Some(case.first_receiver) };
            assert!(by.is_some_and(|by| case.handling_orgs().contains(&by)), "C-4: who answers handles it");
        }
        DomainEvent::ArbitrationOpened { arbiter_org_id, party_org_ids, .. } => {
            assert!(!party_org_ids.contains(arbiter_org_id), "C-7: the arbiter belongs to no party");
            let lowest = lowest_superior(world, party_org_ids, case.complained_of);
            assert_eq!(*arbiter_org_id, lowest, "C-7: the lowest one");
            assert_ne!(Some(*arbiter_org_id), case.complained_of, "C-7: whom it complains of arbitrates");
        }
        DomainEvent::ArbitrationReviewRequested { reviewer_org_id, .. } => {
            assert_ne!(Some(*reviewer_org_id), case.complained_of, "C-7: whom it complains of reviews");
            assert_ne!(Some(*reviewer_org_id), before.lead_org, "C-7: whoever asks for the review reviews");
            let parties = &before.objection.as_ref().unwrap().parties;
            assert!(!parties.contains(reviewer_org_id), "C-7: the reviewer belongs to no party");
        }
        DomainEvent::CaseVerified { .. } | DomainEvent::RatingJudged { .. } => {
            let found = decision.timeline.iter().find(|entry| entry.event == event.name()).unwrap();
            assert!(found.org.is_none() || found.org != before.complained_of, "C-4: whom it complains of");
        }
        DomainEvent::ArbitrationRuled { .. } => {
            let arbiter = before.objection.as_ref().and_then(|objection| objection.arbiter);
            let by = decision.timeline.iter().find(|entry| entry.event == "ArbitrationRuled").unwrap();
            assert!(by.org.is_some() && by.org == arbiter, "C-7: ruled by somebody else");
            let day = case.objection.as_ref().unwrap().ruling.as_ref().unwrap().precedent;
            assert!(day.is_none_or(|day| day > calendar::local_day(by.at)), "C-8: a precedent looks ahead");
        }
        DomainEvent::ArbitrationAgreed { lead_org_id, .. } => {
            let objection = case.objection.as_ref().unwrap();
            let said: Vec<OrgId> = objection.positions.iter().map(|position| position.party).collect();
            assert!(objection.parties.iter().all(|party| said.contains(party)), "everybody agreed");
            assert!(objection.positions.iter().all(|position| position.lead == *lead_org_id));
        }
        DomainEvent::ClockWarned { clock, task_id, percent, due_at, .. } => {
            assert!(*due_at > world.now, "{clock} is over: nobody is reminded of it");
            let same = decision.events.iter().filter(|emitted| {
                let DomainEvent::ClockWarned { clock: kind, task_id: task, due_at: due, .. } = &emitted.event
                else {
                    return false;
                };
                (kind, task, due) == (clock, task_id, due_at)
            });
            assert_eq!(same.count(), 1, "{clock}: of two marks that lie behind the second is told");
            let newly = case.clocks.iter().enumerate().any(|(number, known)| {
                let earlier = before.clocks.get(number).map_or(0, |earlier| earlier.warned);
                let of_it = (known.kind, known.task_id) == (*clock, *task_id);
                of_it && (earlier + 1..=known.warned).contains(percent)
            });
            assert!(newly && !clock.is_window(), "{percent} % of {clock} was told before");
        }
        _ => {}
    }
}

/// Whether evidence came with a task.
fn more_evidence(before: &Case, now: &Case, task: TaskId) -> bool {
    let of_it = |case: &Case| case.evidence.iter().filter(|known| known.task_id == Some(task)).count();
    of_it(now) > of_it(before)
}

/// The writing by which the requester was told, as people read of it.
fn told_ref(entry: &TimelineEntry) -> &str {
    entry.reason.as_ref().and_then(|reason| reason.args.get("told_ref")).map_or("", String::as_str)
}

/// Whether somebody answered, not the router by the list.
fn is_by_hand(answered: &TimelineEntry) -> bool {
    answered.reason.as_ref().is_some_and(|reason| reason.code == "answered_at_window")
}

/// Whether it follows from what the arbiter or the parties said.
fn by_ruling(decision: &Decision) -> bool {
    let says = |name: &str| matches!(name, "ArbitrationRuled" | "ArbitrationAgreed");
    decision.events.iter().any(|emitted| says(emitted.event.name()))
}

/// Who led by a ruling or an agreement about the same item, and still may.
fn bound_before(before: &Case, decision: &Decision) -> Option<OrgId> {
    let case = &decision.case;
    let anew = decision.events.iter().any(|emitted| emitted.event.name() == "CaseReopened");
    let objection = before.objection.as_ref().filter(|_| !anew)?;
    let agreed = objection.positions.first().map(|position| position.lead);
    let lead = match objection.state {
        ObjectionState::Agreed => agreed,
        ObjectionState::Ruled | ObjectionState::Final => {
            objection.ruling.as_ref().map(|ruling| ruling.lead).or(agreed)
        }
        _ => None,
    }?;
    let same = before.tasks.iter().any(|task| task.id == objection.task && task.item == item_of(case));
    let may = case.complained_of != Some(lead) && !case.excluded_orgs.contains(&lead);
    (same && may).then_some(lead)
}

/// Step by step up the tree, independent of how the routing table looks for it.
fn lowest_superior(world: &World, parties: &[OrgId], aside: Option<OrgId>) -> OrgId {
    let path = |org: &OrgId| world.routes.unit(world.routes.org(*org).unwrap().unit).unwrap().path.clone();
    let above = |unit: &UnitId| parties.iter().all(|party| path(party).contains(unit));
    let governs = |unit: &UnitId| {
        ALL_ORGS.into_iter().find(|org| {
            let found = world.routes.org(*org).unwrap();
            let kind = matches!(found.kind, OrgKind::Government | OrgKind::StreetOffice);
            kind && found.unit == *unit && !parties.contains(org) && aside != Some(*org)
        })
    };
    let shared = path(&parties[0]).iter().rev().filter(|unit| above(unit)).copied().collect::<Vec<_>>();
    let apart = |org: &OrgId| !parties.contains(org) && aside != Some(*org);
    shared.iter().find_map(governs).or(world.joint_body.filter(apart)).unwrap_or(GOVERNMENT)
}

fn sweep(world: &mut World, case: Case, checked: bool) -> Case {
    match case.clone().tick(&world.system()).expect("time never fails") {
        None => case,
        Some(decision) => {
            if checked {
                check(world, &case, &decision);
            }
            let case = decision.case;
            assert!(case.next_timer_at().is_none_or(|at| at > world.now), "everything due was done");
            case
        }
    }
}

/// Lives through a history; `checked`: every decision of it is held against what must hold.
fn live(world: &mut World, mut case: Case, history: &[Attempt], checked: bool) -> Case {
    let mut signed = BTreeSet::new();
    signers_check_nothing(&mut signed, &case);
    for step in history {
        world.wait(TimeDelta::minutes(step.wait));
        // The sweeper comes now and then.
        if step.by != 13 {
            case = sweep(world, case, checked);
        }
        let untouched = case.clone();
        if let Ok(Some(decision)) = attempt(world, case, step) {
            handlers_check_nothing(&signed, &untouched, &decision);
            if checked {
                check(world, &untouched, &decision);
            }
            case = decision.case;
        } else {
            case = untouched;
        }
        signers_check_nothing(&mut signed, &case);
    }
    case
}

/// C-4, without asking the case who handled it: no organisation that was ever seen to have signed verifies it or judges it.
fn signers_check_nothing(signed: &mut BTreeSet<OrgId>, case: &Case) {
    signed.extend(case.tasks.iter().filter(|task| task.signed_at.is_some()).map(|task| task.org));
    let verifier = case.verification.as_ref().map(|verification| verification.verifier);
    let judge = case.rating.as_ref().and_then(|rating| rating.judge);
    let mut checks = verifier.into_iter().chain(judge);
    assert!(checks.all(|org| !signed.contains(&org)), "C-4: {signed:?} signed: {verifier:?}, {judge:?}");
}

/// The steps by which somebody looks at what was done.
const CHECKS: [&str; 4] = ["CaseVerified", "CaseReworkOrdered", "CallbackRecorded", "RatingJudged"];

/// C-4: whoever acts in a check, whoever was asked to, had no part in what it is about, nor is complained of.
fn handlers_check_nothing(signed: &BTreeSet<OrgId>, before: &Case, decision: &Decision) {
    for entry in decision.timeline.iter().filter(|entry| CHECKS.contains(&entry.event.as_str())) {
        // Nobody judges a rating that counts as valid because the case is opened again or taken out of another.
        let by_itself = |reason: &Reason| matches!(reason.code.as_str(), "rating_stands" | "original_over");
        let Some(org) = entry.org.filter(|_| !entry.reason.as_ref().is_some_and(by_itself)) else { continue };
        assert!(!signed.contains(&org), "C-4: {org} signed before: {entry:?}");
        assert_ne!(Some(org), before.complained_of, "C-4: whom it complains of: {entry:?}");
        // Of a merged case it is about the other one: whoever only received this one had no part in that.
        let handled: Vec<OrgId> = if before.state == CaseState::Merged {
            before.acting_orgs().chain([LED_THE_OTHER]).collect()
        } else {
            before.handling_orgs()
        };
        assert!(!handled.contains(&org), "C-4: {org} handled it: {entry:?}");
    }
}

/// Where the district's government is a party, nobody of the tree stands above them all.
fn before_joint_body(world: &mut World) -> Case {
    let case = in_state(world, CaseState::Objected);
    let decision = case.clone().open_arbitration(&[GOVERNMENT], None, &world.official(GOVERNMENT)).unwrap();
    check(world, &case, &decision);
    assert_eq!(decision.case.objection.as_ref().unwrap().arbiter, Some(COURTS));
    decision.case
}

pub(super) fn born(world: &mut World, history: &[Attempt]) -> Case {
    if history[0].pick > 3 {
        world.dispatched(ITEMS[history[0].by % ITEMS.len()])
    } else {
        world.registered()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) })]

    #[test]
    fn every_history_keeps_the_invariants(history in attempts(), (of, later) in (subjects(), subjects())) {
        let mut world = World::new();
        (world.complained_of, world.found_out) = (of, later);
        let case = born(&mut world, &history);
        live(&mut world, case, &history, true);
    }

    #[test]
    fn every_history_from_every_state_keeps_them(
        history in attempts(), state in 0..CaseState::ALL.len(), later in subjects(),
    ) {
        let mut world = World::new();
        let case = in_state(&mut world, CaseState::ALL[state]);
        world.found_out = later;
        live(&mut world, case, &history, true);
    }

    #[test]
    fn histories_without_a_verifier_or_fallback_keep_them_too(
        history in attempts(), (of, later) in (subjects(), subjects()),
    ) {
        let mut world = World::of(TableParts { verifiers: vec![], fallback: None, ..parts() });
        (world.complained_of, world.found_out) = (of, later);
        let case = born(&mut world, &history);
        live(&mut world, case, &history, true);
    }

    #[test]
    fn histories_with_a_joint_body_keep_them_too(
        history in attempts(), opened in any::<bool>(), later in subjects(),
    ) {
        let mut world = World::with_joint_body();
        let case = if opened {
            before_joint_body(&mut world)
        } else {
            in_state(&mut world, CaseState::Objected)
        };
        world.found_out = later;
        live(&mut world, case, &history, true);
    }

    /// C-2: whatever an item promises, no case is due after the day that the law sets: on no day, by no hours, and not when a
    /// place is closed later on. For every single day see the clock's own tests.
    #[test]
    fn no_case_is_promised_later_than_the_law_allows(
        promised in 1_u16..40, statutory in 1_u16..40, units in (0_usize..4, 0_usize..4), day in 0_i64..1_461,
        closed in (0_u64..20, 0_u64..12),
    ) {
        use calendar::{Closure, Limit, Profile, TimeUnit, local_day};
        let units = [units.0, units.1].map(|unit| [TimeUnit::WorkDay, TimeUnit::CalDay, TimeUnit::CalHour, TimeUnit::WorkHour][unit]);
        let law = Limit::new(units[1], statutory);
        let mut changed = parts();
        changed.items.retain(|other| other.code != "stairs");
        changed.items.push(ServiceItem {
            promised_limit: Limit::new(units[0], promised),
            statutory_limit: Some(law),
            ..item("stairs", "housing")
        });
        let mut world = World::of(changed);
        world.now = at("2024-01-01T09:00:00") + TimeDelta::days(day);
        let lawful = |world: &World, case: &Case| {
            let (rules, start) = (world.rules.at(&case.place.path), case.resolve_clock().unwrap().started_at);
            rules.calendar.add(law.unit, law.n, start, &rules.profile).at
        };
        let due = |case: &Case| case.resolve_clock().unwrap().due_at;
        let before = world.triaged("stairs");
        prop_assert!(due(&before) <= lawful(&world, &before));
        prop_assert_eq!(violations(&before), Vec::<&str>::new());
        let from = local_day(world.now) + chrono::Days::new(closed.0);
        let closure = Closure { from, to: from + chrono::Days::new(closed.1), authority_ref: "x".into() };
        let there = Profile::office().closed(closure).unwrap().at_version(2);
        let of_units = std::collections::HashMap::from([(STREET, there)]);
        world.rules = world.rules.clone().with_hours(&Hours { usual: Profile::office().at_version(2), of_units });
        let after = before.clone().follow_calendar(&world.system()).unwrap().case;
        prop_assert!(due(&after) >= due(&before) && due(&after) <= lawful(&world, &after));
        let fresh = world.triaged("stairs");
        prop_assert!(due(&fresh) <= lawful(&world, &fresh));
    }
}

/// The lists know nobody for what society could do, and no last resort.
fn nobody_competent() -> TableParts {
    let mut parts = parts();
    parts.entries.retain(|entry| entry.item_code != "shopping_help");
    TableParts { fallback: None, ..parts }
}

/// Deterministic histories, enough of them to take every row. What is tested is where they go: every decision of each third of
/// their beginnings is checked besides, so that all kinds of them are, and the properties above check every one of theirs.
#[test]
fn random_histories_reach_every_state_and_take_every_row_of_both_tables() {
    // What a list made unadmitted after it was dispatched is for `table` to take: no list changes under these histories.
    let unadmitted = [Trigger::RefuseUnadmitted, Trigger::RefuseUnadmittedAssist];
    let (agreed, mut agreed_of_tasks) = (agreed::moves(), agreed::task_moves());
    // By these, or by somebody who was invited to assist; nobody is here.
    agreed_of_tasks.remove(&(TaskState::Signed, TaskState::Declined));
    let wanted: Vec<_> = agreed.iter().filter(|(_, _, by)| !unadmitted.contains(by)).collect();
    let mut runner = TestRunner::deterministic();
    let (mut states, mut rows, mut moves) = (HashSet::new(), HashSet::new(), HashSet::new());
    trail::take();
    trail::take_tasks();
    for round in 0..8_000 {
        let history = attempts().new_tree(&mut runner).unwrap().current();
        let mut world = match round % 8 {
            0 | 3 => World::without_verifier(),
            1 => World::of(nobody_competent()),
            4 => World::with_joint_body(),
            _ => World::new(),
        };
        // Some begin where few histories get by themselves; what led there does not count.
        let case = match round % 8 {
            2 => in_state(&mut world, CaseState::ALL[round / 8 % CaseState::ALL.len()]),
            4 => in_arbitration(&mut world),
            5 => ruled(&mut world),
            6 if round % 32 == 6 => with_whistle(&mut world, CaseState::Objected),
            6 if round % 32 == 14 => with_whistle(&mut world, CaseState::Suspended),
            6 => {
                use CaseState::{Dispatched, InProgress, Objected, Signed, Suspended};
                let state = [Dispatched, Objected, Signed, InProgress, Suspended][round / 32 % 5];
                let case = with_whistle(&mut world, state);
                assist_objects(&mut world, case)
            }
            7 => {
                // Silence after a list of what is missing accepts the one and withdraws the other.
                let code = if round % 16 == 7 { "licence" } else { "stairs" };
                let register = RegisterCase { item_code: Some(code.into()), ..world.register() };
                Case::register(register, &world.official(STATION)).unwrap().case
            }
            _ => born(&mut world, &history),
        };
        if [2, 4, 5, 6].contains(&(round % 8)) {
            trail::take();
            trail::take_tasks();
        }
        // Most histories are long and end where cases end; every other state is one that a short one stops in.
        let history = if round % 16 == 2 { &history[..history.len().min(3)] } else { &history[..] };
        let checked = (round / 8).is_multiple_of(3);
        states.insert(live(&mut world, case, history, checked).state);
        rows.extend(trail::take());
        moves.extend(trail::take_tasks());
        if states.len() == CaseState::ALL.len()
            && wanted.iter().all(|row| rows.contains(*row))
            && moves.len() == agreed_of_tasks.len()
        {
            break;
        }
    }
    let missing: Vec<_> = CaseState::ALL.iter().filter(|state| !states.contains(state)).collect();
    assert!(missing.is_empty(), "never ended in {missing:?}");
    let untaken: BTreeSet<_> = wanted.into_iter().filter(|row| !rows.contains(*row)).collect();
    assert!(untaken.is_empty(), "no history takes {untaken:?}");
    let unmoved: Vec<_> = agreed_of_tasks.difference(&moves).collect();
    assert!(unmoved.is_empty(), "no task moves {unmoved:?}");
    let strange: Vec<_> = rows.difference(&agreed).collect();
    assert!(strange.is_empty(), "some history takes {strange:?}");
}
