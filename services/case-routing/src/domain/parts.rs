//! What a case is made of: tasks, offers, decisions, objections, supervision, verification and ratings.
//! Written without what is empty or unset.

use serde::{Deserialize, Serialize};

use super::arbitration::{Interim, Position, Ruling};
use super::clock::is_default;
use super::closing::CallbackAttempt;
use super::codes::*;
use super::counted::Counted;
use super::crew::AssignmentView;
use super::event::Timestamp;
use super::ids::*;
use super::instant;
use super::reason::Reason;
use super::replay::RoutingInputs;
use super::router::Candidate;
use super::whistle::WhistleScore;

/// One organisation's part in a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    /// The case's number and a running number.
    pub no: String,
    pub org: OrgId,
    pub unit: UnitId,
    pub sender: OrgId,
    pub part: TaskPart,
    pub mode: DispatchMode,
    pub state: TaskState,
    /// An assist without which the case cannot be completed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mandatory: bool,
    #[serde(serialize_with = "instant::write")]
    pub issued_at: Timestamp,
    /// When it was signed for last; a task that its organisation was made to keep is to be signed for anew.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub signed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub submitted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub due_at: Option<Timestamp>,
    /// Its organisation has objected: to leading the matter, by this task or by one before; to helping, by this one. Not again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub objected: bool,
    /// Code of the item that it was issued for; empty for none, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub item: String,
    /// How often the result was sent back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub returned_count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<AssignmentView>,
    /// How many different workers it needs, known when it is signed.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub workers_wanted: u8,
    /// Where it needs several: the assignments of those who have it in hand, in the order in which they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crew: Vec<AssignmentView>,
    /// Set for who was called by a whistle, also by a dispatch along the same edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whistle: Option<WhistleScore>,
    /// Of an assist that has objected: who was to decide over that. Unset where nobody could, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<OrgId>,
    /// Of an assist: its objection was accepted. Its organisation is not called to help with that item again, unless by a ruling.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relieved: bool,
}

impl Task {
    /// Who has to decide over the objection of an assist, while that waits.
    pub(super) fn decided_by(&self) -> Option<OrgId> {
        let waits = self.part == TaskPart::Assist && self.state == TaskState::Objected;
        waits.then(|| self.decider.unwrap_or(self.sender))
    }
}

const fn one() -> u8 {
    1
}

const fn is_one(n: &u8) -> bool {
    *n == 1
}

/// An invitation to a partner, open or confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub id: OfferId,
    pub partner: OrgId,
    pub sender: OrgId,
    pub mode: DispatchMode,
    pub offered_at: Timestamp,
    pub due_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Ended without a result: declined, timed out, or given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// It ended because the time of the partner that led was over. What that one had done before may be heard of later.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overdue: bool,
    /// Of such a one: when the partner had done its part, heard of after somebody else had taken the case up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

impl Offer {
    /// Waiting for the partner's answer.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.confirmed_at.is_none() && self.ended_at.is_none()
    }
}

/// Why the case went where it went; stored, explained, replayable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingDecision {
    pub id: DecisionId,
    pub kind: RoutingKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<DispatchMode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assists: Vec<OrgId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    pub confidence: u8,
    /// A human chose, or confirmed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by_human: bool,
    pub list_version: String,
    /// Limits and rules that it was made under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules_version: String,
    /// What the router looked at; unset where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Box<RoutingInputs>>,
    #[serde(serialize_with = "instant::write")]
    pub at: Timestamp,
}

/// A lead's objection to its task, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    pub task: TaskId,
    pub objector: OrgId,
    pub ground_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested: Option<OrgId>,
    pub raised_at: Timestamp,
    pub state: ObjectionState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitration_id: Option<ArbitrationId>,
    /// Who rules, or reviews the ruling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbiter: Option<OrgId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<OrgId>,
    /// All that it relies on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_refs: Vec<String>,
    /// What the parties said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
    /// In arbitration: who does what cannot wait for the ruling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interim: Option<Interim>,
    /// The ruling, or what the review made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
}

/// A reminder (level 0, 催办) or supervision (levels 1–3, 督办).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    pub id: SupervisionId,
    /// The clock or matter it is about; cleared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    pub level: u8,
    pub reason_code: String,
    pub state: SupervisionState,
    pub issued_at: Timestamp,
    pub due_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// Whether the first answer came in time; unset before it, but no longer than it can: what rose without one is answered late.
    /// What is answered anew after it rose does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_in_time: Option<bool>,
    /// The latest answer; empty before the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer_code: String,
    /// Answered: when it goes one level up by itself if what it is about is still overdue then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rises_at: Option<Timestamp>,
    /// How the time that runs was counted: to answer, or once it was answered until it rises. Unset where an answer promised
    /// its own time, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// Who has to answer it, where the case does not tell: what has to be done is nobody's yet, or the task is another's, as
    /// an assist that is late is for whoever leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// For whom a person issued it; unset where it came by itself, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<OrgId>,
}

/// What the requester said when called back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    pub outcome: CallbackOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<u8>,
    /// The requester confirms that the handler made contact.
    #[serde(default, skip_serializing_if = "is_default")]
    pub contact_confirmed: bool,
    pub at: Timestamp,
}

/// The check of a completed case by a third organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub verifier: OrgId,
    pub started_at: Timestamp,
    /// Calls made; of older cases only their number is known.
    pub attempts: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallbackAttempt>,
    /// Unset while the call-back is outstanding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<VerifyMethod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// What the finding rests on; part of the case's evidence too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_refs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
}

/// 好差评: 5 … 1, the last two are bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    pub grade: u8,
    pub at: Timestamp,
    /// Given after the case was closed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late: bool,
    /// An official wrote down what the requester said when called back; not told of ratings of earlier releases.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_behalf: bool,
    /// Set once a bad rating was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<bool>,
    /// Why it was judged so, where a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_reason: Option<String>,
    /// Of a judged one: what the calls about it came to, where there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackOutcome>,
    /// How it came, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Of a bad one: who sees to it that it is judged, none of those who handled the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<OrgId>,
}

impl Rating {
    /// A grade as it is given: nobody has judged it yet.
    #[must_use]
    pub const fn given(grade: u8, at: Timestamp, late: bool) -> Self {
        Self {
            grade,
            at,
            late,
            on_behalf: false,
            valid: None,
            judge_reason: None,
            callback: None,
            channel: None,
            judge: None,
        }
    }

    /// Whether somebody has to judge it before the case can be closed.
    #[must_use]
    pub const fn awaits_judgement(&self) -> bool {
        self.grade <= 2 && self.valid.is_none()
    }
}

/// Why the case waits, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    pub cause_code: String,
    /// The writing by which the requester was told (C-3); empty in cases of earlier releases.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub told_ref: String,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_before: Option<Timestamp>,
}

/// How long a case has waited for one cause. What was granted and not used, because it went on earlier, is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    pub cause_code: String,
    pub seconds: i64,
}

/// A reference to evidence; the thing itself is stored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub kind: EvidenceKind,
    pub reference: String,
    #[serde(serialize_with = "instant::write")]
    pub at: Timestamp,
    /// The task that it came with; none where it came with none, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// For whom it was given; none where the requester gave it, and in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrgId>,
}
