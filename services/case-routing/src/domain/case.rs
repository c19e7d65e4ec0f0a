//! The Case aggregate: everything about one request, its tasks and clocks included.
//! Fields are public for the store to read and rebuild; only the verbs change them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::application::ApplicationFace;
use super::arbitration::{Interim, Position, Ruling};
use super::clock::Clock;
use super::closing::CallbackAttempt;
use super::codes::*;
use super::condition::Facts;
use super::error::{DomainError, Result};
use super::event::{CaseFacts, Timestamp};
use super::exchange::ExternalLink;
use super::ids::*;
use super::mediation::MediationLink;
use super::reason::Reason;
use super::replay::RoutingInputs;
use super::router::{Candidate, RouteQuery};
use super::stages::StageRun;
use super::suggestion::TriageDecision;
use super::supplement::Supplement;
use super::table::RoutingTable;
use super::whistle::WhistleScore;

/// Where the matter is: the deepest unit known, and the units above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub unit: UnitId,
    /// Root → leaf, the unit itself included.
    pub path: Vec<UnitId>,
    pub street: Option<UnitId>,
    pub community: Option<UnitId>,
}

/// The version of the catalogue item that triage set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRef {
    pub code: String,
    pub version: u32,
    pub category: String,
    pub line: Option<String>,
}

/// The worker's assignment that a task shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentView {
    pub assignment_id: Option<AssignmentId>,
    pub status: AssignmentStatus,
    pub worker: Option<PersonRef>,
    pub at: Timestamp,
}

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
    pub mandatory: bool,
    pub issued_at: Timestamp,
    pub signed_at: Option<Timestamp>,
    pub submitted_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    /// Its organisation has objected to the matter, by this task or by one before; not again.
    pub objected: bool,
    /// How often the result was sent back.
    pub returned_count: u32,
    pub assignment: Option<AssignmentView>,
    /// Set for who was called by a whistle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whistle: Option<WhistleScore>,
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
    pub confirmed_at: Option<Timestamp>,
    /// Ended without a result: declined, timed out, or given back.
    pub ended_at: Option<Timestamp>,
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
    pub lead: Option<OrgId>,
    pub sender: Option<OrgId>,
    pub mode: Option<DispatchMode>,
    pub assists: Vec<OrgId>,
    pub candidates: Vec<Candidate>,
    pub rule_ids: Vec<String>,
    pub reasons: Vec<Reason>,
    pub confidence: u8,
    /// A human chose, or confirmed.
    pub by_human: bool,
    pub list_version: String,
    /// Limits and rules that it was made under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules_version: String,
    /// What the router looked at; unset where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Box<RoutingInputs>>,
    pub at: Timestamp,
}

/// A lead's objection to its task, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    pub task: TaskId,
    pub objector: OrgId,
    pub ground_code: String,
    pub suggested: Option<OrgId>,
    pub raised_at: Timestamp,
    pub state: ObjectionState,
    pub arbitration_id: Option<ArbitrationId>,
    /// Who rules, or reviews the ruling.
    pub arbiter: Option<OrgId>,
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
    pub clock: Option<ClockKind>,
    pub task: Option<TaskId>,
    pub level: u8,
    pub reason_code: String,
    pub state: SupervisionState,
    pub issued_at: Timestamp,
    pub due_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    /// The latest answer; empty before the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer_code: String,
}

/// What the requester said when called back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    pub outcome: CallbackOutcome,
    pub resolution: Option<Resolution>,
    pub grade: Option<u8>,
    /// The requester confirms that the handler made contact.
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
    pub callback: Option<Callback>,
    pub method: Option<VerifyMethod>,
    pub resolution: Option<Resolution>,
    /// What the finding rests on; part of the case's evidence too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_refs: Vec<String>,
    pub verified_at: Option<Timestamp>,
}

/// 好差评: 5 … 1, the last two are bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    pub grade: u8,
    pub at: Timestamp,
    /// Given after the case was closed.
    pub late: bool,
    /// Set once a bad rating was judged.
    pub valid: Option<bool>,
    /// Why it was judged so, where a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_reason: Option<String>,
    /// How it came, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

impl Rating {
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
    pub resume_at: Option<Timestamp>,
    pub due_before: Option<Timestamp>,
}

/// A reference to evidence; the thing itself is stored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub kind: EvidenceKind,
    pub reference: String,
    pub at: Timestamp,
}

/// A resident's request and everything done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub id: CaseId,
    /// Human number, carrying the district.
    pub case_no: String,
    /// Grows by one with each event.
    pub version: i64,
    pub state: CaseState,
    pub channel: Channel,
    pub origin: Origin,
    pub nature: Nature,
    pub urgency: Urgency,
    pub vulnerable: bool,
    pub anonymous: bool,
    pub requester: Option<PersonRef>,
    pub place: Place,
    /// The text with phone, identity, bank and mail patterns redacted.
    pub text_redacted: String,
    /// The original, encrypted.
    pub text_ref: Option<Uuid>,
    pub item: Option<ItemRef>,
    /// Never empty: whoever received it first owns it until relieved (C-1).
    pub first_receiver: OrgId,
    pub lead_org: Option<OrgId>,
    pub lead_unit: Option<UnitId>,
    /// The lead task that stands, or the last one that was approved.
    pub lead_task: Option<TaskId>,
    pub tasks: Vec<Task>,
    pub clocks: Vec<Clock>,
    /// The requester agrees that society is asked first.
    pub society_agreed: bool,
    /// Society had its turn; the public service has the case.
    pub left_society: bool,
    pub offer: Option<Offer>,
    pub tried_partners: Vec<OrgId>,
    pub complained_of: Option<OrgId>,
    pub excluded_orgs: Vec<OrgId>,
    pub routing: Vec<RoutingDecision>,
    pub objection: Option<Objection>,
    pub suspension: Option<Suspension>,
    pub supervisions: Vec<Supervision>,
    pub verification: Option<Verification>,
    pub rating: Option<Rating>,
    pub evidence: Vec<Evidence>,
    /// Of an item with stages: those that were done, and the one in hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRun>,
    pub delivery_mode: Option<DeliveryMode>,
    pub closed_code: Option<ClosedCode>,
    pub merged_into: Option<CaseId>,
    /// Of a dispute: its latest mediation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mediation: Option<MediationLink>,
    /// Cases merged into this one.
    pub merged: Vec<CaseId>,
    /// The topic case that stands for this one and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_case: Option<CaseId>,
    /// Found on patrol and put right on the spot by the finder; no longer once it was sent back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub solved_on_spot: bool,
    /// The same requester asked about the same item at the same place shortly before. Unset while that is not known: the store
    /// finds it out when it loads the case, and keeps it beside the document.
    #[serde(skip)]
    pub repeats: Option<bool>,
    /// Words that were added to it; they stand apart.
    #[serde(default)]
    pub remark_count: u32,
    /// When the last came, also of another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarked_at: Option<Timestamp>,
    pub rework_count: u32,
    pub reopen_count: u32,
    pub lead_change_count: u32,
    /// How often a lead objected; with the changes of lead it tells how far the case was passed on.
    #[serde(default)]
    pub objection_count: u32,
    pub extension_count: u32,
    pub registered_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    /// First dispatch.
    pub dispatched_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub archive_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// Where the service application stands whose case this is; its papers are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationFace>,
    /// Of a case that came without an item: what was suggested, and who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triage: Option<TriageDecision>,
    /// Other systems that hear what becomes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalLink>,
    /// What was missing when it came in, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplement: Option<Supplement>,
}

fn newest(clocks: &[Clock], kind: ClockKind, task: Option<TaskId>) -> Option<&Clock> {
    clocks.iter().rev().find(|clock| clock.kind == kind && clock.task_id == task)
}

/// The clock the requester is promised: rework while it is open, else resolve.
#[must_use]
pub fn promised(clocks: &[Clock]) -> Option<&Clock> {
    let rework = newest(clocks, ClockKind::Rework, None);
    rework.filter(|clock| clock.is_open()).or_else(|| {
        match (newest(clocks, ClockKind::Resolve, None), rework) {
            (Some(resolve), Some(rework)) if rework.started_at > resolve.started_at => Some(rework),
            (resolve, _) => resolve,
        }
    })
}

/// Whether the promised time of a case in this state has passed without completion.
#[must_use]
pub fn is_overdue(state: CaseState, clocks: &[Clock], at: Timestamp) -> bool {
    !state.is_finished()
        && promised(clocks)
            .is_some_and(|clock| clock.is_open() && clock.paused_at.is_none() && at > clock.due_at)
}

/// When the requester's clock of a case in this state is due, while it runs.
#[must_use]
pub fn running_due_at(state: CaseState, clocks: &[Clock]) -> Option<Timestamp> {
    promised(clocks).filter(|clock| clock.is_running() && !state.is_finished()).map(|clock| clock.due_at)
}

impl Case {
    /// The task that leads now, or led last.
    #[must_use]
    pub fn lead(&self) -> Option<&Task> {
        self.lead_task.and_then(|id| self.task(id).ok())
    }

    /// A task by id.
    ///
    /// # Errors
    /// `Invalid` when the case has no such task.
    pub fn task(&self, id: TaskId) -> Result<&Task> {
        let found = self.tasks.iter().find(|task| task.id == id);
        found.ok_or_else(|| DomainError::invalid("task_id", "not a task of this case"))
    }

    /// The newest clock of a kind (and task).
    #[must_use]
    pub fn clock(&self, kind: ClockKind, task: Option<TaskId>) -> Option<&Clock> {
        newest(&self.clocks, kind, task)
    }

    /// The clock the requester is promised: rework while it is open, else resolve.
    #[must_use]
    pub fn resolve_clock(&self) -> Option<&Clock> {
        promised(&self.clocks)
    }

    /// Whether the promised time has passed without completion.
    #[must_use]
    pub fn is_overdue(&self, at: Timestamp) -> bool {
        is_overdue(self.state, &self.clocks, at)
    }

    /// Organisations that handle or handled the case: none of them may verify it (C-4).
    #[must_use]
    pub fn handling_orgs(&self) -> Vec<OrgId> {
        let worked = self.tasks.iter().filter(|task| task.signed_at.is_some() || task.state.is_live());
        let mut orgs: Vec<OrgId> = worked.map(|task| task.org).collect();
        if orgs.is_empty() {
            orgs.push(self.first_receiver);
        }
        orgs.sort_unstable();
        orgs.dedup();
        orgs
    }

    /// Whether an organisation takes part, or is asked to define the duty: its caller reaches the case.
    #[must_use]
    pub fn is_party(&self, org: OrgId) -> bool {
        self.first_receiver == org
            || self.tasks.iter().any(|task| task.org == org)
            || self.verification.as_ref().is_some_and(|verification| verification.verifier == org)
            || self.objection.as_ref().is_some_and(|objection| {
                let asked = objection.ruling.as_ref().and_then(|ruling| ruling.definition.as_ref());
                objection.arbiter == Some(org)
                    || objection.parties.contains(&org)
                    || asked.is_some_and(|asked| asked.org == org)
            })
    }

    /// Whether a call-back is due on completion.
    #[must_use]
    pub const fn callback_due(&self) -> bool {
        !self.anonymous && self.requester.is_some()
    }

    /// What the router is asked about this case.
    #[must_use]
    pub fn route_query<'a>(&'a self, routes: &'a RoutingTable, at: Timestamp) -> RouteQuery<'a> {
        let item = self.item.as_ref().and_then(|item| routes.item_version(&item.code, item.version));
        RouteQuery {
            item: item.map(std::convert::AsRef::as_ref),
            place: &self.place.path,
            urgency: self.urgency,
            first_receiver: self.first_receiver,
            complained_of: self.complained_of,
            excluded: &self.excluded_orgs,
            may_offer: self.society_agreed && !self.left_society,
            tried: &self.tried_partners,
            facts: self.condition_facts(),
            kept: None,
            at,
        }
    }

    /// What conditions of the lists ask of it.
    #[must_use]
    pub const fn condition_facts(&self) -> Facts {
        Facts {
            nature: self.nature,
            origin: self.origin,
            channel: self.channel,
            vulnerable: self.vulnerable,
            anonymous: self.anonymous,
        }
    }

    /// The case as events carry it.
    #[must_use]
    pub fn facts(&self) -> CaseFacts {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        CaseFacts {
            state: self.state,
            item_code: self.item.as_ref().map(|item| item.code.clone()),
            item_version: self.item.as_ref().map_or(0, |item| item.version),
            category: self.item.as_ref().map(|item| item.category.clone()),
            nature: self.nature,
            line: self.item.as_ref().and_then(|item| item.line.clone()),
            urgency: self.urgency,
            channel: self.channel,
            origin: self.origin,
            vulnerable: self.vulnerable,
            place_unit_id: self.place.unit,
            first_receiver_org_id: self.first_receiver,
            lead_org_id: self.lead_org,
            lead_unit_id: self.lead_unit,
            delivery_mode: self.delivery_mode,
            closed_code: self.closed_code,
            registered_at: self.registered_at,
            accepted_at: self.accepted_at,
            resolve_due_at: self.resolve_clock().map(|clock| clock.due_at),
            completed_at: self.completed_at,
            rework_count: self.rework_count,
            reopen_count: self.reopen_count,
            lead_change_count: self.lead_change_count,
            objection_count: self.objection_count,
            extension_count: self.extension_count,
            anonymous: self.anonymous,
            due_before_pause_at: self.suspension.as_ref().and_then(|suspension| suspension.due_before),
            merged_count: count(self.merged.len()),
            solved_on_spot: self.solved_on_spot,
            repeats: self.repeats == Some(true),
        }
    }
}
