//! What an event of case-routing says, beyond the case as it stands afterwards. Events of other services, and those
//! that change no fact, are none of this: they are only logged.

use calendar::local_day;
use chassis::{
    Error, Result, Timestamp,
    clock::{from_proto, to_micros},
    event::Event,
};
use chrono::NaiveDate;
use prost::Message;
use proto::{
    EventMessage,
    case_routing::v1::{self as wire, CaseFacts, CaseState},
};
use uuid::Uuid;

use super::{imported, process::Step};

/// Events of this package change facts.
const PACKAGE: &str = "jianghan.case_routing.v1.";

/// An event about a case, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEvent {
    /// The case.
    pub case_id: Uuid,
    /// Version of the case after the event.
    pub version: i64,
    /// Domain time of the event.
    pub at: Timestamp,
    /// The case as it stands after the event.
    pub facts: CaseFacts,
    /// What happened.
    pub change: Change,
    /// What it adds to the process of the case.
    pub step: Step,
}

/// What happened, as far as an indicator asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Nothing that the case's standing does not show.
    Plain,
    /// An intake decision: accepted, declined, merged, handed off, or more material asked for.
    IntakeDecided {
        /// Within the accept limit.
        in_time: bool,
    },
    /// The window answered the matter itself: that completes it, and is an intake decision where there was none before.
    Answered {
        /// Within the accept limit.
        in_time: bool,
        /// Within the limit of the work that ran.
        done_in_time: bool,
        /// The work since it was accepted, or opened again; unset where no clock ran.
        elapsed: Option<Elapsed>,
    },
    /// First dispatch or offer, or a later one.
    Routed {
        /// Within the dispatch limit.
        in_time: bool,
        /// Dispatched to a public service, not offered to society.
        dispatched: bool,
    },
    /// The first contact that whoever leads made with the requester.
    Contacted {
        /// Within the contact limit.
        in_time: bool,
    },
    /// The lead says the work is done.
    Completed {
        /// When.
        at: Timestamp,
        /// The work that it took.
        elapsed: Elapsed,
        /// Of all the work since it was accepted, or opened again; else of a rework alone, where there was one.
        in_all: bool,
        /// A call-back will be made.
        callback_due: bool,
        /// Within the limit that ran.
        in_time: bool,
    },
    /// Verifier and call-back confirmed the work.
    Verified {
        /// `CallbackOutcome`.
        callback: i16,
        /// 1–5; 0 when none was given.
        grade: i16,
        /// `Resolution` as the requester told it.
        resolution: i16,
        /// The requester confirms to have been contacted.
        contact_confirmed: bool,
    },
    /// The case ended.
    Closed {
        /// When.
        at: Timestamp,
    },
    /// A closed case was opened again.
    Reopened,
    /// The requester rated.
    Rated {
        /// 1–5.
        grade: i16,
        /// An official wrote it down.
        on_behalf: bool,
    },
    /// A bad rating was judged.
    RatingJudged {
        /// The rating stands.
        valid: bool,
        /// A call about it reached the requester.
        reached: bool,
    },
    /// Of a merged case: the case that it was merged into was worked on again for its bad rating.
    Rectified {
        /// Within the limit.
        in_time: bool,
        /// A call about that reached the requester.
        reached: bool,
    },
    /// A reminder (level 0) or supervision was issued.
    Supervised {
        /// Which.
        supervision_id: Uuid,
        /// 0 for a reminder.
        level: i32,
    },
    /// The supervised organisation answered.
    SupervisionAnswered {
        /// Which.
        supervision_id: Uuid,
        /// For the first time, and within the first limit.
        in_time: bool,
    },
    /// It was taken over from another system, as it stands.
    Imported(Taken),
    /// Something about one task.
    Task {
        /// The task.
        task_id: Uuid,
        /// What.
        change: TaskChange,
    },
}

/// Time on the clocks of a case, without paused time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    /// In the kind of time of the unit.
    pub seconds: i64,
    /// `LimitUnit`; 0 where no clock ran.
    pub unit: i16,
}

impl Elapsed {
    fn of(seconds: i64, unit: i32) -> Self {
        Self { seconds: seconds.max(0), unit: small(unit) }
    }

    /// Where a clock ran, and it was told.
    fn told(seconds: i64, unit: i32) -> Option<Self> {
        Some(Self::of(seconds, unit)).filter(|elapsed| elapsed.unit > 0)
    }
}

/// What an import tells of a case besides its standing. What it cannot tell (routing, contact, call-back, what was reworked)
/// is no member of the populations that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How it came to stand with the import.
    pub state: CaseState,
    /// Whether the intake decision came within its limit; unset while it is waited for.
    pub intake_in_time: Option<bool>,
    /// Resolve clock of a completed case.
    pub elapsed_seconds: i64,
    /// `LimitUnit` of that clock.
    pub elapsed_unit: i16,
    /// Until when it was to be completed, where that was promised.
    pub due_at: Option<Timestamp>,
    /// When it was completed, if it was.
    pub completed_at: Option<Timestamp>,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// Grade and when it was given, if one was.
    pub rated: Option<(i16, Timestamp)>,
    /// It has a lead that is to sign for it.
    pub dispatched: bool,
}

impl Taken {
    /// The days on which it became late elsewhere, and stopped being so, if it was completed too late.
    pub fn late_days(&self) -> Option<(NaiveDate, NaiveDate)> {
        let (due, done) = self.due_at.zip(self.completed_at)?;
        (done > due).then(|| (local_day(due), local_day(done)))
    }
}

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// Given to an organisation.
    Issued {
        /// It has to be signed for within a limit.
        sign_due: bool,
        /// A street calls a department together with others.
        whistle: bool,
        /// Of whoever leads the case from now on.
        lead: bool,
    },
    /// Signed for.
    Signed {
        /// Within the limit.
        in_time: bool,
        /// By whoever leads the case: the limit to make contact begins.
        lead: bool,
    },
    /// The organisation objected.
    Objected,
    /// Handed in.
    Submitted,
    /// Sent back.
    Returned,
    /// An arbiter ruled on the objection.
    Ruled {
        /// The objector was right.
        upheld: bool,
    },
    /// Who was called by a whistle reported in.
    Reported {
        /// Within the limit.
        in_time: bool,
    },
    /// One side of a whistle judged the other.
    Appraised {
        /// The street, whether it was solved; else the department, whether it was needed.
        by_sender: bool,
        /// It was.
        positive: bool,
    },
    /// Nothing an indicator asks for.
    Other,
}

impl CaseEvent {
    /// Reads an event; `None` for one that changes no fact. Broken bytes, ids or a missing standing are `Internal`,
    /// which parks the event.
    pub fn of(event: &Event) -> Result<Option<Self>> {
        let Some(name) = event.r#type.strip_prefix(PACKAGE) else { return Ok(None) };
        let Some(mut read) = decode(name, event)? else { return Ok(None) };
        read.step = Step::of(name, event)?;
        Ok(Some(read))
    }

    /// Hands every case event that an event stands for to `take`: one, none, or those of a whole import.
    pub fn each(event: &Event, take: impl FnMut(Self) -> Result<()>) -> Result<()> {
        if event.is::<wire::CasesImported>() {
            return imported::each(event, take);
        }
        Self::of(event)?.map_or(Ok(()), take)
    }
}

/// Decodes `$event` as the message `$message` and makes a `CaseEvent` of it.
macro_rules! case_event {
    ($event:expr, $message:ident, |$m:ident| $change:expr) => {{
        let $m: wire::$message = read($event)?;
        let change = $change;
        stand($event, $m.facts, change).map(Some)
    }};
}

fn decode(name: &str, event: &Event) -> Result<Option<CaseEvent>> {
    use Change::{
        Answered, Closed, Completed, Contacted, IntakeDecided, Plain, Rated, RatingJudged, Rectified,
        Reopened, Routed, Supervised, SupervisionAnswered, Task, Verified,
    };
    match name {
        "CaseAccepted" => {
            case_event!(event, CaseAccepted, |m| IntakeDecided { in_time: m.in_time && !m.by_silence })
        }
        "CaseDeclined" => {
            case_event!(event, CaseDeclined, |m| IntakeDecided { in_time: m.in_time })
        }
        "CaseSupplementRequested" => {
            case_event!(event, CaseSupplementRequested, |m| IntakeDecided { in_time: m.in_time })
        }
        "CaseMerged" => {
            case_event!(event, CaseMerged, |m| IntakeDecided { in_time: m.in_time })
        }
        "CaseHandedOff" => {
            case_event!(event, CaseHandedOff, |m| IntakeDecided { in_time: m.in_time })
        }
        "CaseAnswered" => {
            case_event!(event, CaseAnswered, |m| Answered {
                in_time: m.in_time,
                done_in_time: m.done_in_time.unwrap_or_else(|| done_in_time(m.facts.as_ref())),
                elapsed: Elapsed::told(m.elapsed_total_seconds, m.elapsed_total_unit),
            })
        }
        "CaseOffered" => {
            case_event!(event, CaseOffered, |m| Routed { in_time: m.in_time, dispatched: false })
        }
        "CaseDispatched" => {
            case_event!(event, CaseDispatched, |m| Routed { in_time: m.in_time, dispatched: true })
        }
        "CaseContacted" => case_event!(event, CaseContacted, |m| Contacted { in_time: m.in_time }),
        "CaseCompleted" => case_event!(event, CaseCompleted, |m| {
            let total = Elapsed::told(m.elapsed_total_seconds, m.elapsed_total_unit);
            Completed {
                at: instant(m.completed_time.as_ref()).unwrap_or(event.time),
                elapsed: total.unwrap_or_else(|| Elapsed::of(m.elapsed_seconds, m.elapsed_unit)),
                in_all: total.is_some(),
                callback_due: m.callback_due,
                in_time: m.in_time,
            }
        }),
        "CaseVerified" => case_event!(event, CaseVerified, |m| Verified {
            callback: small(m.callback),
            grade: small(m.callback_grade),
            resolution: small(m.callback_resolution),
            contact_confirmed: m.contact_confirmed,
        }),
        "CaseClosed" => case_event!(event, CaseClosed, |m| Closed {
            at: instant(m.closed_time.as_ref()).unwrap_or(event.time),
        }),
        "CaseReopened" => case_event!(event, CaseReopened, |m| Reopened),
        "RatingReceived" => {
            case_event!(event, RatingReceived, |m| Rated { grade: small(m.grade), on_behalf: m.on_behalf })
        }
        "RatingJudged" => case_event!(event, RatingJudged, |m| RatingJudged {
            valid: m.valid,
            reached: m.callback() == wire::CallbackOutcome::Reached,
        }),
        "RatingRectified" => case_event!(event, RatingRectified, |m| Rectified {
            in_time: m.in_time,
            reached: m.callback() == wire::CallbackOutcome::Reached,
        }),
        "SupervisionIssued" => case_event!(event, SupervisionIssued, |m| Supervised {
            supervision_id: id(&m.supervision_id)?,
            level: m.level,
        }),
        "SupervisionAnswered" => case_event!(event, SupervisionAnswered, |m| SupervisionAnswered {
            supervision_id: id(&m.supervision_id)?,
            in_time: m.in_time,
        }),
        "TaskIssued" => case_event!(event, TaskIssued, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Issued {
                sign_due: m.sign_due_time.is_some(),
                whistle: m.mode() == wire::DispatchMode::Whistle,
                lead: m.part() == wire::TaskPart::Lead,
            },
        }),
        "TaskSigned" => case_event!(event, TaskSigned, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Signed { in_time: m.in_time, lead: m.part() == wire::TaskPart::Lead },
        }),
        "TaskObjected" => case_event!(event, TaskObjected, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Objected,
        }),
        "TaskSubmitted" => case_event!(event, TaskSubmitted, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Submitted,
        }),
        "TaskReturned" => case_event!(event, TaskReturned, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Returned,
        }),
        "ArbitrationRuled" => case_event!(event, ArbitrationRuled, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Ruled { upheld: m.objection_upheld },
        }),
        "TaskReported" => case_event!(event, TaskReported, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Reported { in_time: m.in_time },
        }),
        "TaskAppraised" => case_event!(event, TaskAppraised, |m| Task {
            task_id: id(&m.task_id)?,
            change: TaskChange::Appraised { by_sender: m.by_sender, positive: m.positive },
        }),
        // Many cases: see `CaseEvent::each`.
        "CasesImported" => Ok(None),
        _ if name.starts_with("Task") || name.starts_with("Arbitration") => {
            let m: AboutTask = AboutTask::decode(event.data.clone()).map_err(Error::internal)?;
            let change = match m.task_id.is_empty() {
                true => Plain,
                false => Task { task_id: id(&m.task_id)?, change: TaskChange::Other },
            };
            stand(event, m.facts, change).map(Some)
        }
        _ => {
            // Every other event of this package has the case's standing as its second field or is not about a case.
            let m: AboutCase = AboutCase::decode(event.data.clone()).map_err(Error::internal)?;
            match m.facts {
                Some(facts) => stand(event, Some(facts), Plain).map(Some),
                None => Ok(None),
            }
        }
    }
}

/// The fields that all events about a case share.
#[derive(Clone, PartialEq, Message)]
struct AboutCase {
    #[prost(string, tag = "1")]
    case_id: String,
    #[prost(message, optional, tag = "2")]
    facts: Option<CaseFacts>,
}

/// The fields that all events about a task share.
#[derive(Clone, PartialEq, Message)]
struct AboutTask {
    #[prost(string, tag = "1")]
    case_id: String,
    #[prost(string, tag = "2")]
    task_id: String,
    #[prost(message, optional, tag = "3")]
    facts: Option<CaseFacts>,
}

/// An instant of a message, cut to what the database keeps.
pub(super) fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_proto).map(to_micros)
}

/// Whether what a window answered was in time, where an earlier build told no more than when it was due and done.
fn done_in_time(facts: Option<&CaseFacts>) -> bool {
    let due = facts.and_then(|facts| instant(facts.resolve_due_time.as_ref()));
    let done = facts.and_then(|facts| instant(facts.completed_time.as_ref()));
    due.zip(done).is_none_or(|(due, done)| done <= due)
}

fn stand(event: &Event, facts: Option<CaseFacts>, change: Change) -> Result<CaseEvent> {
    let Some(facts) = facts else {
        return Err(Error::internal(format!("event {} of type {} carries no facts", event.id, event.r#type)));
    };
    Ok(CaseEvent {
        case_id: event.partition_key,
        version: event.aggregate_version,
        at: event.time,
        facts,
        change,
        step: Step::default(),
    })
}

fn read<M: EventMessage>(event: &Event) -> Result<M> {
    M::decode(event.data.clone()).map_err(Error::internal)
}

fn id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(Error::internal)
}

fn small(value: i32) -> i16 {
    super::vocabulary::small(value)
}
