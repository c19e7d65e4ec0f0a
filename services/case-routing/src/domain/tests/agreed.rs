//! The tables of domain.md §2.2.2 once more, written out by hand: from its text, and from the amendments that `state` lists
//! with their reasons. What stands in neither is forbidden. The other tests of the tables go by these, not by the tables of
//! the code, so that a row that is lost there, or comes to it, is told.

use std::collections::HashSet;

use super::super::state::trail::{Row, TaskRow};
use super::super::{CaseState as S, TASK_TRANSITIONS, TRANSITIONS, TaskState, Trigger as T};

/// Nobody has been sent the case yet.
const BEFORE_DISPATCH: &[S] = &[S::Registered, S::Accepted, S::Triaged];

/// Organisations have tasks that they may sign, decline or hand in.
const WITH_TASKS: &[S] = &[S::Dispatched, S::Objected, S::Signed, S::InProgress, S::Suspended];

/// Whoever has the case may still be helped, or given more time.
const UNDER_WAY: &[S] = &[S::Dispatched, S::Signed, S::InProgress];

/// Any that is not terminal, before Closed.
const BEFORE_CLOSED: &[S] = &[
    S::Registered,
    S::NeedSupplement,
    S::Accepted,
    S::Triaged,
    S::OfferedToSociety,
    S::Dispatched,
    S::Objected,
    S::Signed,
    S::InProgress,
    S::Suspended,
    S::Completed,
    S::Verifying,
    S::Resolved,
];

/// From, by, to, in the order of the text.
const MOVES: &[(&[S], T, &[S])] = &[
    (&[S::Registered], T::Accept, &[S::Accepted]),
    (&[S::Registered], T::RequestSupplement, &[S::NeedSupplement]),
    (&[S::NeedSupplement], T::Supplement, &[S::Accepted]),
    (&[S::NeedSupplement], T::SupplementExpired, &[S::Accepted, S::Withdrawn]),
    (&[S::Registered], T::AcceptBySilence, &[S::Accepted]),
    (&[S::Registered], T::Decline, &[S::NotAccepted]),
    (BEFORE_DISPATCH, T::HandOff, &[S::HandedOff]),
    (BEFORE_DISPATCH, T::Merge, &[S::Merged]),
    (&[S::Accepted, S::Triaged], T::Answer, &[S::Completed]),
    (&[S::Accepted], T::Triage, &[S::Triaged]),
    (&[S::Triaged], T::Offer, &[S::OfferedToSociety]),
    (&[S::OfferedToSociety], T::ConfirmOffer, &[S::InProgress]),
    (&[S::OfferedToSociety], T::Offer, &[S::OfferedToSociety]),
    (&[S::OfferedToSociety], T::LapseOffer, &[S::OfferedToSociety]),
    (&[S::InProgress], T::Complete, &[S::Completed]),
    (&[S::Triaged, S::OfferedToSociety], T::Dispatch, &[S::Dispatched]),
    (&[S::Dispatched], T::Sign, &[S::Signed]),
    (&[S::Dispatched, S::Signed], T::Object, &[S::Objected]),
    (&[S::Dispatched], T::DeclineTask, &[S::Triaged]),
    (&[S::InProgress], T::ReturnFromSociety, &[S::Triaged]),
    (&[S::Objected], T::RuleArbitration, &[S::Dispatched]),
    (&[S::Objected], T::AgreeArbitration, &[S::Dispatched]),
    (&[S::Objected], T::RejectObjection, &[S::Dispatched]),
    (&[S::Objected], T::Redispatch, &[S::Dispatched]),
    (&[S::Dispatched, S::Signed], T::Recall, &[S::Triaged]),
    (&[S::Signed], T::Contact, &[S::InProgress]),
    (&[S::InProgress], T::Suspend, &[S::Suspended]),
    (&[S::Suspended], T::Resume, &[S::InProgress]),
    (&[S::Completed], T::StartVerification, &[S::Verifying]),
    (&[S::Verifying], T::Verify, &[S::Resolved]),
    (&[S::Verifying, S::Resolved], T::OrderRework, &[S::Triaged, S::InProgress]),
    (&[S::Resolved], T::Close, &[S::Closed]),
    (&[S::Closed], T::Reopen, &[S::Triaged]),
    (BEFORE_CLOSED, T::Withdraw, &[S::Withdrawn]),
    (&[S::Merged], T::Unmerge, &[S::Accepted]),
    (&[S::Closed], T::Archive, &[S::Archived]),
];

/// Moves that the amendments brought.
const AMENDED: &[(&[S], T, &[S])] = &[
    (&[S::OfferedToSociety], T::LapseOffer, &[S::Triaged]),
    (&[S::HandedOff], T::ReturnFromReferral, &[S::Triaged, S::Accepted]),
    (&[S::Suspended], T::ReturnFromSociety, &[S::Triaged]),
    (&[S::InProgress, S::Suspended], T::ReturnFromMediation, &[S::Triaged]),
    (&[S::Dispatched], T::RequestReview, &[S::Objected]),
    (&[S::Objected], T::RuleReview, &[S::Dispatched]),
    (&[S::Triaged], T::SolveOnSpot, &[S::Completed, S::Resolved]),
    (&[S::Dispatched, S::Signed], T::RefuseUnadmitted, &[S::Triaged]),
];

/// What the amendments list with the states in which it is possible, though it moves no case.
const STAYS: &[(&[S], T)] = &[
    (&[S::Triaged], T::Triage),
    (&[S::InProgress], T::Contact),
    (&[S::InProgress], T::CompleteStage),
    (&[S::Objected], T::OpenArbitration),
    (&[S::Objected], T::TakePosition),
    (WITH_TASKS, T::SignAssist),
    (WITH_TASKS, T::DeclineAssist),
    (WITH_TASKS, T::RefuseUnadmittedAssist),
    (WITH_TASKS, T::ObjectAssist),
    (WITH_TASKS, T::DecideAssistObjection),
    (WITH_TASKS, T::SubmitTask),
    (WITH_TASKS, T::ReportIn),
    (&[S::Signed, S::InProgress], T::ReturnTask),
    (UNDER_WAY, T::Whistle),
    (UNDER_WAY, T::Extend),
    (&[S::Verifying, S::Resolved, S::Closed], T::RecordCallback),
    (&[S::Resolved, S::Closed], T::Rate),
    (&[S::Resolved, S::Closed], T::JudgeRating),
    (&[S::Merged], T::RateMerged),
    (&[S::Merged], T::JudgeMerged),
    (&[S::Merged], T::CallMerged),
];

/// What a task in each state may become. `Signed → Declined` is an amendment: a community refuses what was not admitted until
/// work begins, and whoever was invited to assist leaves until then; and what has ended is not cancelled any more.
const TASKS: &[(TaskState, &[TaskState])] = {
    use TaskState::{Approved, Cancelled, Declined, Issued, Objected, Returned, Signed, Submitted, Working};
    &[
        (Issued, &[Signed, Objected, Declined, Cancelled]),
        (Signed, &[Working, Objected, Declined, Cancelled]),
        (Working, &[Submitted, Cancelled]),
        (Submitted, &[Approved, Returned, Cancelled]),
        (Approved, &[Returned]),
        (Returned, &[Working, Cancelled]),
        (Objected, &[Issued, Cancelled]),
        (Declined, &[]),
        (Cancelled, &[]),
    ]
};

/// Every allowed move of a case.
pub(super) fn moves() -> HashSet<Row> {
    let mut all = HashSet::from([(None, S::Registered, T::Register)]);
    for (from, by, to) in MOVES.iter().chain(AMENDED) {
        for state in *from {
            all.extend(to.iter().map(|to| (Some(*state), *to, *by)));
        }
    }
    for (states, by) in STAYS {
        all.extend(states.iter().map(|state| (Some(*state), *state, *by)));
    }
    all
}

/// Every allowed move of a task.
pub(super) fn task_moves() -> HashSet<TaskRow> {
    TASKS.iter().flat_map(|(from, to)| to.iter().map(|to| (*from, *to))).collect()
}

#[test]
fn the_tables_of_the_code_are_those_that_were_agreed_on() {
    let (table, agreed) = (TRANSITIONS.iter().copied().collect::<HashSet<_>>(), moves());
    let surplus: Vec<_> = table.difference(&agreed).collect();
    assert!(surplus.is_empty(), "nobody agreed on {surplus:?}");
    let lost: Vec<_> = agreed.difference(&table).collect();
    assert!(lost.is_empty(), "the code has no {lost:?}");

    let (table, agreed) = (TASK_TRANSITIONS.iter().copied().collect::<HashSet<_>>(), task_moves());
    let surplus: Vec<_> = table.difference(&agreed).collect();
    assert!(surplus.is_empty(), "nobody agreed on {surplus:?}");
    let lost: Vec<_> = agreed.difference(&table).collect();
    assert!(lost.is_empty(), "the code has no {lost:?}");
}

#[test]
fn every_state_of_a_task_is_written_down() {
    let states: Vec<TaskState> = TASKS.iter().map(|(from, _)| *from).collect();
    assert_eq!(states.len(), TaskState::ALL.len());
    assert!(TaskState::ALL.iter().all(|state| states.contains(state)));
}
