//! The Case aggregate: everything about one request, its tasks and clocks included.
//! Fields are public for the store to read and rebuild; only the verbs change them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::application::ApplicationFace;
use super::clock::{Clock, is_default};
use super::closing::CallbackAttempt;
use super::codes::*;
use super::condition::Facts;
pub use super::crew::AssignmentView;
use super::error::{DomainError, Result};
use super::event::{CaseFacts, Timestamp};
use super::exchange::ExternalLink;
use super::ids::*;
use super::instant;
use super::mediation::MediationLink;
pub use super::parts::{
    Callback, Evidence, Objection, Offer, Rating, RoutingDecision, Supervision, Suspension, Task,
    Verification, Waited,
};
use super::point::Point;
use super::rectified::Rectified;
use super::remark::JoinedWords;
use super::router::RouteQuery;
use super::stages::StageRun;
use super::suggestion::TriageDecision;
use super::supplement::Supplement;
use super::table::RoutingTable;

/// Where the matter is: the deepest unit known, and the units above it; its grid and point, as far as somebody said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub unit: UnitId,
    /// Root → leaf, the unit itself included.
    pub path: Vec<UnitId>,
    pub street: Option<UnitId>,
    pub community: Option<UnitId>,
    /// Code of the grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<String>,
    /// Kept here and in the table by which it is found; in no event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
}

/// The version of the catalogue item that triage set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRef {
    pub code: String,
    pub version: u32,
    pub category: String,
    pub line: Option<String>,
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
    /// How urgent its requester called it, where that is more than ordinary: for whoever looks at it, and nothing else goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_urgency: Option<Urgency>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub vulnerable: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub anonymous: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<PersonRef>,
    pub place: Place,
    /// The text with phone, identity, bank and mail patterns redacted.
    pub text_redacted: String,
    /// The original, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_ref: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemRef>,
    /// Never empty: whoever received it first owns it until relieved (C-1).
    pub first_receiver: OrgId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_org: Option<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_unit: Option<UnitId>,
    /// The lead task that stands, or the last one that was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_task: Option<TaskId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<Clock>,
    /// The requester agrees that society is asked first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub society_agreed: bool,
    /// Society had its turn; the public service has the case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub left_society: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried_partners: Vec<OrgId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complained_of: Option<OrgId>,
    /// The cases that were merged into it and say so; where there are none, it says so itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complained_through: Vec<CaseId>,
    /// Besides those it says so itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub complains_itself: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_orgs: Vec<OrgId>,
    /// Of those, who was relieved by an objection, each with the code of the item that it was relieved of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relieved: Vec<(OrgId, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routing: Vec<RoutingDecision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<Objection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
    /// How long it has waited, by cause, over all its suspensions that are over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited: Vec<Waited>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supervisions: Vec<Supervision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// Calls to the requester beside those of the verification: about a bad rating, or of a merged case about what came of the
    /// other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_calls: Vec<CallbackAttempt>,
    /// Of a merged case: that the other was worked on again for a bad rating of this one, the last valid one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rectified: Option<Rectified>,
    /// Who answered it at the window, put it right on the spot or brought its parties to an agreement: they hold no task, and
    /// handled it all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered_by: Vec<OrgId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Of an item with stages: those that were done, and the one in hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<DeliveryMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_code: Option<ClosedCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<CaseId>,
    /// Of a dispute: its latest mediation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mediation: Option<MediationLink>,
    /// Cases merged into this one, those included that came with another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<CaseId>,
    /// Of those, the cases that nobody asked for by name, as far as that is known: nobody rates what comes of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_unnamed: Vec<CaseId>,
    /// Of a case that came there with another: what it was merged into before, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_through: Vec<CaseId>,
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub remark_count: u32,
    /// When the last came, also of another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarked_at: Option<Timestamp>,
    /// What was said in cases that were merged into it, by case; also in those that have left it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined_words: Vec<JoinedWords>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub rework_count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub reopen_count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub lead_change_count: u32,
    /// How often a lead objected; with the changes of lead it tells how far the case was passed on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub objection_count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub extension_count: u32,
    #[serde(serialize_with = "instant::write")]
    pub registered_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub accepted_at: Option<Timestamp>,
    /// First dispatch.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub dispatched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub closed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_if_set")]
    pub archive_at: Option<Timestamp>,
    #[serde(serialize_with = "instant::write")]
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
    /// Lines by which it was referred to other systems that sent it back, or from which it was taken back; it goes by none of
    /// them again but an emergency line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned_lines: Vec<String>,
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
    /// Whether it is the re-check of a benefit, which began by itself. An application that a topic case stands for is none: it
    /// came from below.
    #[must_use]
    pub fn is_recheck(&self) -> bool {
        self.origin == Origin::TopDown && self.parent_case.is_some() && self.application.is_some()
    }

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

    /// Whether a time that the requester was promised has passed, now or before: a pause, a completion or more time later on
    /// does not undo it.
    #[must_use]
    pub fn was_late(&self, at: Timestamp) -> bool {
        let promise = |clock: &&Clock| matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework);
        let mut promises = self.clocks.iter().filter(promise);
        promises.any(|clock| !clock.in_time(clock.stopped_at.or(clock.paused_at).unwrap_or(at)))
    }

    /// Organisations that have or had a task of the case in hand, or answered it.
    pub(super) fn acting_orgs(&self) -> impl Iterator<Item = OrgId> {
        let worked = self.tasks.iter().filter(|task| task.signed_at.is_some() || task.state.is_live());
        worked.map(|task| task.org).chain(self.answered_by.iter().copied())
    }

    /// Organisations that handle or handled the case: none of them may verify it (C-4).
    #[must_use]
    pub fn handling_orgs(&self) -> Vec<OrgId> {
        let mut orgs: Vec<OrgId> = self.acting_orgs().collect();
        if orgs.is_empty() {
            orgs.push(self.first_receiver);
        }
        orgs.sort_unstable();
        orgs.dedup();
        orgs
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
