//! The state tables of cases and tasks (domain.md §2.2.2) as data. The verbs consult them and nothing
//! else, so the table and the code cannot differ.
//!
//! Amended against the text of the table, with the reasons:
//! - The lead of mode `assist_request` moves the case when it signs, like an order: otherwise a committee
//!   that accepts would leave the case Dispatched for ever. An invited lead never signs; confirming the offer does. By hand, too, a
//!   partner is only offered a case; those that earlier releases sent one sign for it still, or lose it by their silence.
//! - `NeedSupplement → NotAccepted` does not exist: silence ends in Accepted or Withdrawn, as listed.
//! - `InProgress → InProgress` on a first contact: a partner's or reworked case is in progress before it.
//! - `OfferedToSociety → Triaged` when an offer lapses and no organisation at all can be found, or none that the
//!   router is sure enough of: a dispatcher decides then.
//! - `InProgress → Triaged` when talks of a mediation fail, or society leads: the public service takes over, as after a partner.
//! - `HandedOff → Triaged` when another system sends back what was referred to it, `→ Accepted` where nobody has said yet what it is
//!   about: else its requester would be lost. An emergency stays with its line, unless somebody takes it back: nobody's mistake is for
//!   good.
//! - Suspended cases can be returned too: a partner may give up, and talks may fail, while the case waits.
//! - `Triaged → Triaged`: a human may say otherwise what a case is about until it is dispatched.
//! - A case that was merged is rated by its own requester, who is called about it, and a bad rating judged, without moving it.
//! - The requester is called about a bad rating of a resolved or closed case, before that is judged.
//! - `Objected → Objected` when an arbitration opens; extensions, call-backs, ratings and assist tasks are
//!   listed with the states in which they are possible, though they do not move the case.
//! - Objection and arbitration: parties take positions while the case is Objected; the one review of a ruling takes a
//!   dispatched case back to Objected, before the lead has signed.
//! - Whoever is ordered or called by a whistle to assist objects as the lead does (§2.0.3: an order "may object", a whistle "objects
//!   to district"; the row of the table says "lead unit" only): its own task is Objected, the case stays where it is. Who sent the
//!   task, of a whistle whoever leads the street, or who stands above, issues it again or cancels it; nobody arbitrates over a part.
//! - What a finder put right on the spot was found and done in one: drawn for a check it is Completed, else Resolved and closed.
//! - A whistle calls further departments without moving the case, and so does their reporting in.
//! - A partner's part may be done before the others': its task is submitted then, and the case is completed (and goes on first, if
//!   it waits) with what the last of them hands in or refuses.
//! - What a partner did before its time was over and is heard of later, when nobody has begun since, takes the case back to it and
//!   completes it in one decision, along the rows of recall, offer and confirmation: the hours are its own and the work is not
//!   ordered twice.
//! - An item may have stages: the lead reports each done while the case is in progress, which does not move it.
//! - A community may refuse what was not admitted (F8) also when it has signed already, until work begins; the lead's
//!   case is Triaged again and routed without it. So may whoever was invited to assist, for nobody is made to help; who was asked
//!   or ordered otherwise declines nothing that it has signed for.
//! - A task's `any → Cancelled` means any that still stands. What was approved stays so: the work was done and found
//!   good, and is paid, counted and appraised by it. So does what an assist has handed in, where only the lead goes (declined,
//!   recalled, given back, reworked without it): it is approved with the rest, or returned by whoever leads next; unless the
//!   case turns out to be about another matter, or to complain of whoever handed it in. A
//!   reopened case gets a new task, a reworked one takes the approved task back as returned, which can be cancelled.
//!   Declined and cancelled tasks have ended already.

use std::fmt;

use super::codes::CaseState::{self as S, *};
use super::codes::TaskState;

macro_rules! triggers {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// What moves a case: a verb, or a timer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Trigger { $($(#[$doc])* $name,)+ }

        impl Trigger {
            /// Every trigger.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The verb's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

triggers! {
    Register = "register",
    Accept = "accept",
    /// Timer: the intake limit passed without a decision.
    AcceptBySilence = "accept_by_silence",
    RequestSupplement = "request_supplement",
    Supplement = "supplement",
    /// Timer: the supplement did not come.
    SupplementExpired = "supplement_expired",
    Decline = "decline",
    HandOff = "hand_off",
    /// The other system that it was referred to sends it back, or somebody takes it back.
    ReturnFromReferral = "return_from_referral",
    Merge = "merge",
    Unmerge = "unmerge",
    Answer = "answer",
    Triage = "triage",
    /// Found on patrol, and put right by the finder.
    SolveOnSpot = "solve_on_spot",
    Offer = "offer",
    ConfirmOffer = "confirm_offer",
    /// The partner declined or its time ran out; the next offer or a dispatch follows.
    LapseOffer = "lapse_offer",
    Dispatch = "dispatch",
    Sign = "sign",
    /// An assist task: signed without moving the case.
    SignAssist = "sign_assist",
    Object = "object",
    /// An assist task: objected to without moving the case.
    ObjectAssist = "object_assist",
    /// An assist's objection is rejected or accepted without moving the case.
    DecideAssistObjection = "decide_assist_objection",
    RejectObjection = "reject_objection",
    Redispatch = "redispatch",
    OpenArbitration = "open_arbitration",
    TakePosition = "take_position",
    /// The parties' positions are the same: what follows from the last one.
    AgreeArbitration = "agree_arbitration",
    RuleArbitration = "rule_arbitration",
    RequestReview = "request_review",
    RuleReview = "rule_review",
    DeclineTask = "decline_task",
    /// An assist task: declined without moving the case.
    DeclineAssist = "decline_assist",
    /// A community sends back what was not admitted.
    RefuseUnadmitted = "refuse_unadmitted",
    /// An assist task: refused without moving the case.
    RefuseUnadmittedAssist = "refuse_unadmitted_assist",
    Recall = "recall",
    Contact = "contact",
    Suspend = "suspend",
    Resume = "resume",
    Extend = "extend",
    SubmitTask = "submit_task",
    ReturnTask = "return_task",
    Whistle = "whistle",
    ReportIn = "report_in",
    /// A stage of the work is done; the next one begins.
    CompleteStage = "complete_stage",
    Complete = "complete",
    ReturnFromSociety = "return_from_society",
    /// The parties of a dispute did not agree.
    ReturnFromMediation = "return_from_mediation",
    StartVerification = "start_verification",
    RecordCallback = "record_callback",
    Verify = "verify",
    OrderRework = "order_rework",
    Rate = "rate",
    JudgeRating = "judge_rating",
    RateMerged = "rate_merged",
    JudgeMerged = "judge_merged",
    CallMerged = "call_merged",
    Close = "close",
    Reopen = "reopen",
    Withdraw = "withdraw",
    Archive = "archive",
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

use Trigger as T;

/// Every allowed move of a case: from (none: a new case), to, by.
pub const TRANSITIONS: &[(Option<S>, S, Trigger)] = &[
    (None, Registered, T::Register),
    (Some(Registered), Accepted, T::Accept),
    (Some(Registered), Accepted, T::AcceptBySilence),
    (Some(Registered), NeedSupplement, T::RequestSupplement),
    (Some(NeedSupplement), Accepted, T::Supplement),
    (Some(NeedSupplement), Accepted, T::SupplementExpired),
    (Some(NeedSupplement), S::Withdrawn, T::SupplementExpired),
    (Some(Registered), NotAccepted, T::Decline),
    (Some(Registered), S::HandedOff, T::HandOff),
    (Some(Accepted), S::HandedOff, T::HandOff),
    (Some(Triaged), S::HandedOff, T::HandOff),
    (Some(S::HandedOff), Triaged, T::ReturnFromReferral),
    (Some(S::HandedOff), Accepted, T::ReturnFromReferral),
    (Some(Registered), S::Merged, T::Merge),
    (Some(Accepted), S::Merged, T::Merge),
    (Some(Triaged), S::Merged, T::Merge),
    (Some(S::Merged), Accepted, T::Unmerge),
    (Some(S::Merged), S::Merged, T::RateMerged),
    (Some(S::Merged), S::Merged, T::JudgeMerged),
    (Some(S::Merged), S::Merged, T::CallMerged),
    (Some(Accepted), Completed, T::Answer),
    (Some(Triaged), Completed, T::Answer),
    (Some(Accepted), Triaged, T::Triage),
    (Some(Triaged), Triaged, T::Triage),
    (Some(Triaged), Completed, T::SolveOnSpot),
    (Some(Triaged), Resolved, T::SolveOnSpot),
    (Some(Triaged), OfferedToSociety, T::Offer),
    (Some(OfferedToSociety), OfferedToSociety, T::Offer),
    (Some(OfferedToSociety), OfferedToSociety, T::LapseOffer),
    (Some(OfferedToSociety), Triaged, T::LapseOffer),
    (Some(OfferedToSociety), InProgress, T::ConfirmOffer),
    (Some(Triaged), Dispatched, T::Dispatch),
    (Some(OfferedToSociety), Dispatched, T::Dispatch),
    (Some(Dispatched), Signed, T::Sign),
    (Some(Dispatched), Dispatched, T::SignAssist),
    (Some(Objected), Objected, T::SignAssist),
    (Some(Signed), Signed, T::SignAssist),
    (Some(InProgress), InProgress, T::SignAssist),
    (Some(Suspended), Suspended, T::SignAssist),
    (Some(Dispatched), Objected, T::Object),
    (Some(Signed), Objected, T::Object),
    (Some(Dispatched), Dispatched, T::ObjectAssist),
    (Some(Objected), Objected, T::ObjectAssist),
    (Some(Signed), Signed, T::ObjectAssist),
    (Some(InProgress), InProgress, T::ObjectAssist),
    (Some(Suspended), Suspended, T::ObjectAssist),
    (Some(Dispatched), Dispatched, T::DecideAssistObjection),
    (Some(Objected), Objected, T::DecideAssistObjection),
    (Some(Signed), Signed, T::DecideAssistObjection),
    (Some(InProgress), InProgress, T::DecideAssistObjection),
    (Some(Suspended), Suspended, T::DecideAssistObjection),
    (Some(Objected), Dispatched, T::RejectObjection),
    (Some(Objected), Dispatched, T::Redispatch),
    (Some(Objected), Objected, T::OpenArbitration),
    (Some(Objected), Dispatched, T::AgreeArbitration),
    (Some(Objected), Objected, T::TakePosition),
    (Some(Objected), Dispatched, T::RuleArbitration),
    (Some(Dispatched), Objected, T::RequestReview),
    (Some(Objected), Dispatched, T::RuleReview),
    (Some(Dispatched), Triaged, T::DeclineTask),
    (Some(Dispatched), Dispatched, T::DeclineAssist),
    (Some(Objected), Objected, T::DeclineAssist),
    (Some(Signed), Signed, T::DeclineAssist),
    (Some(InProgress), InProgress, T::DeclineAssist),
    (Some(Suspended), Suspended, T::DeclineAssist),
    (Some(Dispatched), Triaged, T::RefuseUnadmitted),
    (Some(Signed), Triaged, T::RefuseUnadmitted),
    (Some(Dispatched), Dispatched, T::RefuseUnadmittedAssist),
    (Some(Objected), Objected, T::RefuseUnadmittedAssist),
    (Some(Signed), Signed, T::RefuseUnadmittedAssist),
    (Some(InProgress), InProgress, T::RefuseUnadmittedAssist),
    (Some(Suspended), Suspended, T::RefuseUnadmittedAssist),
    (Some(Dispatched), Triaged, T::Recall),
    (Some(Signed), Triaged, T::Recall),
    (Some(Signed), InProgress, T::Contact),
    (Some(InProgress), InProgress, T::Contact),
    (Some(InProgress), Suspended, T::Suspend),
    (Some(Suspended), InProgress, T::Resume),
    (Some(Dispatched), Dispatched, T::Extend),
    (Some(Signed), Signed, T::Extend),
    (Some(InProgress), InProgress, T::Extend),
    (Some(Dispatched), Dispatched, T::SubmitTask),
    (Some(Objected), Objected, T::SubmitTask),
    (Some(Signed), Signed, T::SubmitTask),
    (Some(InProgress), InProgress, T::SubmitTask),
    (Some(Suspended), Suspended, T::SubmitTask),
    (Some(Signed), Signed, T::ReturnTask),
    (Some(InProgress), InProgress, T::ReturnTask),
    (Some(Dispatched), Dispatched, T::Whistle),
    (Some(Signed), Signed, T::Whistle),
    (Some(InProgress), InProgress, T::Whistle),
    (Some(Dispatched), Dispatched, T::ReportIn),
    (Some(Objected), Objected, T::ReportIn),
    (Some(Signed), Signed, T::ReportIn),
    (Some(InProgress), InProgress, T::ReportIn),
    (Some(Suspended), Suspended, T::ReportIn),
    (Some(InProgress), InProgress, T::CompleteStage),
    (Some(InProgress), Completed, T::Complete),
    (Some(InProgress), Triaged, T::ReturnFromSociety),
    (Some(Suspended), Triaged, T::ReturnFromSociety),
    (Some(InProgress), Triaged, T::ReturnFromMediation),
    (Some(Suspended), Triaged, T::ReturnFromMediation),
    (Some(Completed), Verifying, T::StartVerification),
    (Some(Verifying), Verifying, T::RecordCallback),
    (Some(Resolved), Resolved, T::RecordCallback),
    (Some(Closed), Closed, T::RecordCallback),
    (Some(Verifying), Resolved, T::Verify),
    (Some(Verifying), InProgress, T::OrderRework),
    (Some(Verifying), Triaged, T::OrderRework),
    (Some(Resolved), InProgress, T::OrderRework),
    (Some(Resolved), Triaged, T::OrderRework),
    (Some(Resolved), Resolved, T::Rate),
    (Some(Closed), Closed, T::Rate),
    (Some(Resolved), Resolved, T::JudgeRating),
    (Some(Closed), Closed, T::JudgeRating),
    (Some(Resolved), Closed, T::Close),
    (Some(Closed), Triaged, T::Reopen),
    (Some(Registered), S::Withdrawn, T::Withdraw),
    (Some(NeedSupplement), S::Withdrawn, T::Withdraw),
    (Some(Accepted), S::Withdrawn, T::Withdraw),
    (Some(Triaged), S::Withdrawn, T::Withdraw),
    (Some(OfferedToSociety), S::Withdrawn, T::Withdraw),
    (Some(Dispatched), S::Withdrawn, T::Withdraw),
    (Some(Objected), S::Withdrawn, T::Withdraw),
    (Some(Signed), S::Withdrawn, T::Withdraw),
    (Some(InProgress), S::Withdrawn, T::Withdraw),
    (Some(Suspended), S::Withdrawn, T::Withdraw),
    (Some(Completed), S::Withdrawn, T::Withdraw),
    (Some(Verifying), S::Withdrawn, T::Withdraw),
    (Some(Resolved), S::Withdrawn, T::Withdraw),
    (Some(Closed), Archived, T::Archive),
];

/// Whether the table has any move by that trigger from the state.
#[must_use]
pub fn allows(from: Option<S>, trigger: Trigger) -> bool {
    TRANSITIONS.iter().any(|(state, _, by)| *state == from && *by == trigger)
}

/// Whether the table has exactly that move.
#[must_use]
pub fn allows_move(from: Option<S>, to: S, trigger: Trigger) -> bool {
    TRANSITIONS.contains(&(from, to, trigger))
}

/// The rows that decisions took, for the tests to compare with the table.
#[cfg(test)]
pub(super) mod trail {
    use std::{cell::RefCell, collections::HashSet, mem};

    use super::{S, TaskState, Trigger};

    /// A row of the table: from, to, by.
    pub type Row = (Option<S>, S, Trigger);

    /// A row of the table of tasks: from, to.
    pub type TaskRow = (TaskState, TaskState);

    thread_local! {
        static TAKEN: RefCell<HashSet<Row>> = RefCell::default();
        static TASKS: RefCell<HashSet<TaskRow>> = RefCell::default();
    }

    /// A decision that was made took these rows.
    pub fn note(rows: Vec<Row>, tasks: Vec<TaskRow>) {
        TAKEN.with_borrow_mut(|taken| taken.extend(rows));
        TASKS.with_borrow_mut(|taken| taken.extend(tasks));
    }

    /// The rows of tasks taken on this thread since the last call.
    pub fn take_tasks() -> HashSet<TaskRow> {
        TASKS.with_borrow_mut(mem::take)
    }

    /// The rows taken on this thread since the last call.
    pub fn take() -> HashSet<Row> {
        TAKEN.with_borrow_mut(mem::take)
    }
}

/// Every allowed move of a task: from, to. A cancelled or declined task stays so.
pub const TASK_TRANSITIONS: &[(TaskState, TaskState)] = {
    use TaskState::{Approved, Cancelled, Declined, Issued, Objected, Returned, Signed, Submitted, Working};
    &[
        (Issued, Signed),
        (Signed, Working),
        (Working, Submitted),
        (Submitted, Approved),
        (Submitted, Returned),
        (Approved, Returned),
        (Returned, Working),
        (Issued, Objected),
        (Signed, Objected),
        (Objected, Issued),
        (Issued, Declined),
        (Signed, Declined),
        (Issued, Cancelled),
        (Signed, Cancelled),
        (Working, Cancelled),
        (Submitted, Cancelled),
        (Returned, Cancelled),
        (Objected, Cancelled),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_can_be_reached_and_only_terminal_ones_are_dead_ends() {
        for state in S::ALL {
            assert!(TRANSITIONS.iter().any(|(_, to, _)| to == state), "{state} is never reached");
            let leaves = TRANSITIONS.iter().any(|(from, to, _)| *from == Some(*state) && to != state);
            let comes_back = matches!(state, S::Merged | S::HandedOff);
            assert_eq!(leaves, !state.is_terminal() || comes_back, "{state}");
        }
    }

    #[test]
    fn the_table_has_no_row_twice_and_uses_every_trigger() {
        let distinct: std::collections::HashSet<_> = TRANSITIONS.iter().collect();
        assert_eq!(distinct.len(), TRANSITIONS.len());
        for trigger in Trigger::ALL {
            assert!(TRANSITIONS.iter().any(|(_, _, by)| by == trigger), "{trigger} is unused");
        }
    }
}
