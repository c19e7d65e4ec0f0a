//! The facts that a decision tells the other services, one variant per message of
//! `jianghan.case_routing.v1` events, with the same names and fields (`…_at` here is `…_time` there).
//! Ids, codes, quantities and times only.

use calendar::TimeUnit;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::application_news::ApplicationNews;
use super::codes::*;
use super::ids::*;
use super::instant;
use super::reason::Reason;
use super::suggestion::TriageDecision;

/// An instant; always given, never read from a clock here.
pub type Timestamp = DateTime<Utc>;

/// The case as it stands after an event: whatever an indicator's numerator or denominator needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFacts {
    pub state: CaseState,
    pub item_code: Option<String>,
    pub item_version: u32,
    pub category: Option<String>,
    pub nature: Nature,
    pub line: Option<String>,
    pub urgency: Urgency,
    pub channel: Channel,
    pub origin: Origin,
    pub vulnerable: bool,
    pub place_unit_id: UnitId,
    pub first_receiver_org_id: OrgId,
    pub lead_org_id: Option<OrgId>,
    pub lead_unit_id: Option<UnitId>,
    pub delivery_mode: Option<DeliveryMode>,
    pub closed_code: Option<ClosedCode>,
    pub registered_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    /// Of the rework clock while reworking, else of the resolve clock.
    pub resolve_due_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub rework_count: u32,
    pub reopen_count: u32,
    pub lead_change_count: u32,
    pub objection_count: u32,
    pub extension_count: u32,
    pub anonymous: bool,
    /// Set while suspended.
    pub due_before_pause_at: Option<Timestamp>,
    pub merged_count: u32,
    pub solved_on_spot: bool,
    /// The same requester asked about the same item at the same place shortly before.
    pub repeats: bool,
}

/// One event of a decision, numbered by the version of the case after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    pub case_id: CaseId,
    /// Version of the aggregate after this event; grows by one with each event.
    pub version: i64,
    pub facts: CaseFacts,
    pub event: DomainEvent,
}

/// One step in the life of a case, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    pub case_version: i64,
    /// Name of the event, such as `CaseDispatched`.
    pub event: String,
    pub state: CaseState,
    pub actor: PersonRef,
    pub org: Option<OrgId>,
    #[serde(serialize_with = "instant::write")]
    pub at: Timestamp,
    pub reason: Option<Reason>,
    pub task_id: Option<TaskId>,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $kind:ty),* $(,)? })+) => {
        /// A fact about a case, past tense. Field meanings are those of the messages of the same name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum DomainEvent {
            /// Of a service application.
            Application { news: ApplicationNews },
            $($(#[$doc])* $name { $($field: $kind),* },)+
        }

        impl DomainEvent {
            /// The message's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    Self::Application { news } => news.name(),
                    $(Self::$name { .. } => stringify!($name),)+
                }
            }
        }
    };
}

events! {
    CaseRegistered { accept_due_at: Timestamp }
    CaseAccepted { in_time: bool, by_silence: bool }
    CaseDeclined { reason_code: String, in_time: bool }
    CaseSupplementRequested { material_codes: Vec<String>, supplement_due_at: Timestamp, in_time: bool }
    CaseSupplemented {}
    CaseMerged { into_case_id: CaseId, in_time: bool }
    CaseUnmerged {}
    CaseHandedOff { line_code: String, in_time: bool }
    /// The other system that took the line sent it back.
    CaseReturnedFromReferral { line_code: String }
    CaseAnswered { in_time: bool, process: String, done_in_time: bool, elapsed_total: Option<(i64, TimeUnit)> }
    CaseTriaged { decision: Option<TriageDecision> }
    /// The unit of its place was merged: it is in what that became.
    CasePlaceFollowed {}
    /// Its finder put it right on the spot.
    CaseSolvedOnSpot { in_time: bool, sampled: bool }
    CaseLinkedToTopic { topic_case_id: CaseId }
    CaseOffered {
        offer_id: OfferId, partner_org_id: OrgId, mode: DispatchMode, offer_due_at: Timestamp,
        skill_codes: Vec<String>, in_time: bool, process: String,
    }
    CaseOfferConfirmed { offer_id: OfferId, task_id: TaskId, partner_org_id: OrgId, mode: DispatchMode }
    CaseOfferWithdrawn { offer_id: OfferId, partner_org_id: OrgId, reason_code: String }
    CaseReturnedFromSociety { offer_id: OfferId, partner_org_id: OrgId, reason_code: String }
    CaseDispatched {
        task_id: TaskId, lead_org_id: OrgId, sender_org_id: OrgId, mode: DispatchMode, first: bool, in_time: bool,
        process: String,
    }
    CaseRedispatched {
        task_id: TaskId, lead_org_id: OrgId, sender_org_id: OrgId, mode: DispatchMode, lead_changed: bool,
    }
    CaseRecalled { reason_code: String }
    CaseContacted { in_time: bool }
    CaseSuspended { cause_code: String, resume_at: Option<Timestamp> }
    CaseResumed {}
    /// The resolve clock was extended, with approval, before it was due.
    CaseExtended { reason_code: String, resolve_due_at: Timestamp }
    /// A stage of the work is done; the next one, if there is one, began.
    CaseStageCompleted {
        task_id: TaskId, stage_code: String, in_time: bool, next_stage_code: Option<String>,
        next_due_at: Option<Timestamp>,
    }
    CaseCompleted {
        task_id: TaskId, offer_id: Option<OfferId>, in_time: bool, completed_at: Timestamp,
        elapsed_seconds: i64, elapsed_unit: Option<TimeUnit>, elapsed_total: Option<(i64, TimeUnit)>,
        callback_due: bool,
    }
    VerificationStarted { verifier_org_id: OrgId, verify_due_at: Timestamp }
    CaseVerified {
        verifier_org_id: OrgId, resolution: Resolution, callback: CallbackOutcome, callback_grade: Option<u8>,
        contact_confirmed: bool, callback_resolution: Option<Resolution>, verified_at: Timestamp,
        rating_due_at: Timestamp,
    }
    CaseReworkOrdered {
        task_id: Option<TaskId>, offer_id: Option<OfferId>, reason_code: String, rework_due_at: Option<Timestamp>,
    }
    CaseClosed { closed_at: Timestamp, rated: bool, offer_id: Option<OfferId> }
    CaseReopened { reason_code: String }
    CaseWithdrawn { reason_code: String, offer_id: Option<OfferId> }
    CaseArchived {}
    TaskIssued {
        task_id: TaskId, part: TaskPart, mode: DispatchMode, org_id: OrgId, unit_id: UnitId,
        sign_due_at: Option<Timestamp>, due_at: Option<Timestamp>,
    }
    TaskSigned {
        task_id: TaskId, part: TaskPart, mode: DispatchMode, org_id: OrgId, unit_id: UnitId,
        skill_codes: Vec<String>, due_at: Option<Timestamp>, in_time: bool, urgency: Urgency,
        workers_wanted: u8,
    }
    TaskObjected { task_id: TaskId, org_id: OrgId, ground_code: String, suggested_org_id: Option<OrgId> }
    TaskObjectionRejected { task_id: TaskId, org_id: OrgId, reason_code: String }
    TaskCancelled { task_id: TaskId, org_id: OrgId, reason_code: String }
    TaskDeclined { task_id: TaskId, org_id: OrgId, reason_code: String }
    AdmissionRefusedByCommunity {
        task_id: TaskId, org_id: OrgId, sender_org_id: OrgId, part: TaskPart, reason_code: String,
    }
    TaskSubmitted { task_id: TaskId, part: TaskPart, org_id: OrgId, in_time: bool }
    TaskReturned { task_id: TaskId, org_id: OrgId, reason_code: String, due_at: Option<Timestamp> }
    TaskApproved { task_id: TaskId, org_id: OrgId }
    /// Who was called by a whistle is there.
    TaskReported { task_id: TaskId, org_id: OrgId, in_time: bool }
    /// One side of a whistle judged the other.
    TaskAppraised { task_id: TaskId, org_id: OrgId, by_sender: bool, positive: bool }
    ArbitrationOpened {
        task_id: TaskId, arbitration_id: ArbitrationId, arbiter_org_id: OrgId, party_org_ids: Vec<OrgId>,
        ground_code: String, consult_due_at: Timestamp,
    }
    ArbitrationPositionTaken {
        task_id: TaskId, arbitration_id: ArbitrationId, org_id: OrgId, lead_org_id: OrgId,
    }
    ArbitrationReviewRequested {
        task_id: TaskId, arbitration_id: ArbitrationId, org_id: OrgId, reviewer_org_id: OrgId, ground_code: String,
        review_due_at: Timestamp,
    }
    ArbitrationAgreed { task_id: TaskId, arbitration_id: ArbitrationId, lead_org_id: OrgId }
    ArbitrationRuled {
        task_id: TaskId, arbitration_id: ArbitrationId, lead_org_id: OrgId, objection_upheld: bool, precedent: bool,
    }
    ArbitrationFinal { task_id: TaskId, arbitration_id: ArbitrationId }
    SupervisionIssued {
        supervision_id: SupervisionId, task_id: Option<TaskId>, level: u8, reason_code: String,
        due_at: Timestamp,
    }
    SupervisionAcknowledged { supervision_id: SupervisionId }
    SupervisionAnswered { supervision_id: SupervisionId, in_time: bool }
    SupervisionEscalated { supervision_id: SupervisionId, level: u8 }
    SupervisionCleared { supervision_id: SupervisionId }
    /// Another calendar came into force, or a case that rested goes on: there is longer to answer, or after an answer until it
    /// rises.
    SupervisionMoved {
        supervision_id: SupervisionId, rises: bool, due_before_at: Timestamp, due_at: Timestamp,
        calendar_version: u32,
    }
    /// Who has to act is reminded.
    ClockWarned {
        clock: ClockKind, task_id: Option<TaskId>, org_id: OrgId, unit_id: Option<UnitId>, percent: u8,
        due_at: Timestamp,
    }
    ClockBreached { clock: ClockKind, task_id: Option<TaskId>, due_at: Timestamp }
    /// Another calendar came into force, under which a promise ends later.
    ClockMoved {
        clock: ClockKind, task_id: Option<TaskId>, offer_id: Option<OfferId>, due_before_at: Timestamp,
        due_at: Timestamp, calendar_version: u32,
    }
    RatingReceived { grade: u8, org_id: Option<OrgId>, anonymous: bool, on_behalf: bool }
    RatingJudged { grade: u8, valid: bool, callback: Option<CallbackOutcome> }
    /// Of a merged case: the other was worked on again for its bad rating, and its requester perhaps called about that.
    RatingRectified { in_time: bool, callback: Option<CallbackOutcome> }
}
