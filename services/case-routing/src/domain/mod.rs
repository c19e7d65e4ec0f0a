//! The pure heart of case routing: a case, its tasks and clocks, and the router. Every verb is a function of
//! the case, a command, the acting party, the routing table, the rules and the instant; it yields the new case,
//! its events and timeline, or a refusal. No I/O, no clock, no randomness here.

#[macro_use]
mod codes;

mod amend;
mod application;
mod application_case;
mod application_codes;
mod application_decision;
mod application_inquiry;
mod application_intake;
mod application_news;
mod application_state;
mod arbitration;
mod benefit;
mod benefit_end;
mod by_hand;
mod case;
mod catalogue;
mod citation;
mod clock;
mod closing;
mod completion;
mod condition;
mod counted;
mod crew;
mod dispatch;
mod dry_run;
pub mod duty;
mod endings;
mod error;
mod event;
pub mod exchange;
mod field;
mod follow;
mod follow_days;
mod follow_units;
mod handling;
mod hours;
mod ids;
mod import;
mod instant;
mod intake;
mod invariants;
mod item;
mod joined;
mod judge;
mod later_call;
mod likeness;
mod lists;
mod meanings;
mod mediation;
mod merging;
mod noted;
mod objection;
mod parts;
pub mod patrol;
mod point;
mod rating;
mod reason;
mod rectified;
mod recusal;
mod refusal;
mod relieved;
mod remark;
mod replay;
mod router;
mod rules;
mod seats;
mod settled;
mod society;
mod stages;
mod state;
mod suggestion;
mod supervision;
mod supplement;
mod suspending;
mod synonyms;
mod table;
mod taking_part;
mod tally;
mod terms;
mod tick;
mod whistle;
mod words;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use amend::{Successor, amend};
pub use application::{
    Application, ApplicationFace, CurrentNotice, Determination, Filed, Investigation, MovedDays, MovedNotice,
    NewNotice, Notice, NoticeObjection, Papers, Refusal, Remedy, ReturnedReview, Review, Signature,
    UncountedPeriod, masked_name,
};
pub use application_codes::*;
pub use application_decision::{MOST_FEN, UNCOUNTED};
pub use application_inquiry::{RecordInvestigation, ReviewApplication};
pub use application_intake::{BroughtPapers, SubmitApplication};
pub use application_news::ApplicationNews;
pub use application_state::APPLICATION_TRANSITIONS;
pub use arbitration::{DefinitionRequest, Interim, Position, RuleObjection, Ruling, STOP_GAP};
pub use benefit::{
    BeginRecheck, BenefitChange, BenefitNews, BenefitPeriod, BenefitRule, Recheck, review_day,
};
pub use benefit_end::{BenefitEnding, EndBenefit};
pub use by_hand::{Chooser, ManualRoute};
pub use case::{
    AssignmentView, Callback, Case, Evidence, ItemRef, Objection, Offer, Place, Rating, RoutingDecision,
    Supervision, Suspension, Task, Verification, Waited, is_overdue, promised, running_due_at,
};
pub use catalogue::{CatalogueVersion, cited_catalogues};
pub use citation::Citation;
pub use clock::{Clock, WARNINGS};
pub use closing::{CallbackAttempt, CallbackReport, VerifyCase};
pub use codes::*;
pub use completion::CompleteCase;
pub use condition::{Circumstances, Condition, Facts, NoCondition};
pub use counted::Counted;
pub use dispatch::{AssignmentChanged, RouteChoice};
pub use dry_run::{DryRun, Shift};
pub use endings::{AnswerCase, Elsewhere};
pub use error::{DomainError, Result};
pub use event::{CaseFacts, DomainEvent, Emitted, TimelineEntry, Timestamp};
pub use field::OnTheSpot;
pub use hours::Hours;
pub use ids::*;
pub use import::{IMPORTED, ImportCase, Imported};
pub use intake::{IntakeCase, RegisterCase, TriageCase};
pub use invariants::violations;
pub use item::{ApplicationRules, Holder, PartnerRule, ResponsibilityEntry, ServiceItem};
pub use joined::Original;
pub use likeness::{LEAST_ALIKE, Likeness, Matter, Weights};
pub use lists::{
    EntryList, ListVersion, Period, Schedule, activate, on_the_way, replaced, roll_back, stands_apart,
    stands_on, start_canary, version_at,
};
pub use mediation::*;
pub use objection::ObjectTask;
pub use point::{Axis, Point};
pub use reason::{Language, Reason};
pub use rectified::Rectified;
pub use recusal::Complaint;
pub use remark::{JoinedWords, remarks};
pub use replay::{Difference, Replay, RoutingInputs};
pub use router::{Candidate, Choice, RouteQuery, RoutingOutcome};
pub use rules::{Rules, SlaProfile};
pub use seats::Seats;
pub use stages::{MOST_STAGES, Stage, StageRun};
pub use state::{TASK_TRANSITIONS, TRANSITIONS, Trigger};
pub use suggestion::{Suggestion, TriageDecision};
pub use supplement::{Materials, Supplement};
pub use synonyms::Told;
pub use table::{Edge, Load, OrgNode, RoutingTable, TableParts, UnitNode};
pub use tally::{Life, Tally};
pub use terms::material_names;
pub use whistle::{WhistleCase, WhistleScore};
pub use words::pairs;
pub use work::{Act, Decision, Party, Standing};
