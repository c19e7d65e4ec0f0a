//! The vocabularies of the domain and of the wire, name for name, both ways. A word that one side gains fails to
//! compile here.

use calendar::TimeUnit;
use chassis::proto::case_routing::v1 as pb;

use crate::domain;

/// Unit of a limit on the wire.
pub const fn limit_unit(unit: TimeUnit) -> pb::LimitUnit {
    match unit {
        TimeUnit::CalHour => pb::LimitUnit::CalHour,
        TimeUnit::WorkHour => pb::LimitUnit::WorkHour,
        TimeUnit::WorkDay => pb::LimitUnit::WorkDay,
        TimeUnit::CalDay => pb::LimitUnit::CalDay,
        TimeUnit::Month => pb::LimitUnit::Month,
    }
}

macro_rules! vocabularies {
    (@from : $name:ident { $($word:ident),+ }) => {};
    (@from $from:ident : $name:ident { $($word:ident),+ }) => {
        #[doc = concat!("`", stringify!($name), "` from the wire; `None` when unspecified.")]
        pub const fn $from(word: pb::$name) -> Option<domain::$name> {
            match word {
                pb::$name::Unspecified => None,
                $(pb::$name::$word => Some(domain::$name::$word),)+
            }
        }
    };
    ($($to:ident $($from:ident)? : $name:ident { $($word:ident),+ $(,)? })+) => {$(
        #[doc = concat!("`", stringify!($name), "` on the wire.")]
        pub const fn $to(word: domain::$name) -> pb::$name {
            match word { $(domain::$name::$word => pb::$name::$word,)+ }
        }

        vocabularies!(@from $($from)? : $name { $($word),+ });
    )+};
}

vocabularies! {
    case_state case_state_from: CaseState { Registered, NeedSupplement, NotAccepted, HandedOff, Merged, Accepted, Triaged, OfferedToSociety, Dispatched, Objected, Signed, InProgress, Suspended, Completed, Verifying, Resolved, Closed, Archived, Withdrawn }
    task_state task_state_from: TaskState { Issued, Signed, Working, Submitted, Approved, Returned, Objected, Declined, Cancelled }
    dispatch_mode: DispatchMode { Order, Whistle, AssistRequest, WorkOrder, Invitation }
    delivery_mode delivery_mode_from: DeliveryMode { GovDirect, GovPurchased, Volunteer, SelfGovernance, Market }
    task_part: TaskPart { Lead, Assist }
    nature: Nature { Consultation, Help, Complaint, Report, Suggestion, Application, Component, CityEvent, Dispute, MutualHelp, SelfGovernance }
    urgency urgency_from: Urgency { Normal, Urgent, Emergency }
    channel channel_from: Channel { Window, Phone, App, Web, Worker, External, Patrol }
    origin origin_from: Origin { BottomUp, TopDown, Patrol, Sensor }
    closed_code closed_code_from: ClosedCode { Resolved, PartlyResolved, Explained, Unfounded, BeyondAuthority, SelfGoverned, Mediated, Withdrawn, Merged, Declined, HandedOff }
    clock_kind: ClockKind { Accept, Supplement, Dispatch, Offer, Sign, Objection, Contact, Resolve, Rework, Assist, Verify, RatingWindow, Consult, Ruling, Report, Judge, Stage }
    resolution resolution_from: Resolution { Resolved, PartlyResolved, NotResolved }
    callback_outcome callback_outcome_from: CallbackOutcome { Reached, Unreached, NotDue }
    application_state: ApplicationState { Submitted, NeedSupplement, Accepted, Investigating, Reviewed, PublicNotice, Reinvestigating, Approved, Delivered, Denied, NotAccepted, Withdrawn }
    application_outcome: ApplicationOutcome { Granted, Denied, NotAccepted }
    investigation_kind investigation_kind_from: InvestigationKind { HomeVisit, NeighbourVisit, Letter, Panel, DataCheck }
    benefit_ground benefit_ground_from: BenefitGround { MovedAway, Died, GivenUp }
    remedy_kind: RemedyKind { Reconsideration, Litigation }
    mediation_state mediation_state_from: MediationState { Applied, Initiated, Consented, InSession, Agreed, Effective, Performed, Breached, ToldOfCourt, Refused, Failed, ToldOfChannels, TerminatedByParty }
    mediation_origin mediation_origin_from: MediationOrigin { Application, Committee, Court, Police }
    party_kind party_kind_from: PartyKind { Person, Organization }
    agreement_kind agreement_kind_from: AgreementKind { Oral, Written }
    confirmation_state: ConfirmationState { Requested, Accepted, NotAccepted, Confirmed, NotConfirmed }
    assignment_status: AssignmentStatus { Offered, Accepted, OnSite, Done, Unfilled, Cancelled }
}
