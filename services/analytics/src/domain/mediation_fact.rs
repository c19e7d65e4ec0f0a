//! One fact row per mediation: when a dispute was opened, whether it was settled and by whom, and whether the parties did what they
//! agreed on. Its events carry the version of the mediation, not the case's standing.

use calendar::local_day;
use chassis::{Error, Result, Timestamp, event::Event};
use proto::{EventMessage, case_routing::v1 as wire};
use uuid::Uuid;

use super::change::instant;

/// What is known of a mediation. Field names are the columns of `mediation_facts`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MediationFact {
    /// The mediation.
    pub mediation_id: Uuid,
    /// Its case.
    pub case_id: Uuid,
    /// Version of the mediation after the last event.
    pub version: i64,
    /// Place of the case when it was opened.
    pub place_unit_id: Option<Uuid>,
    /// Item of the case.
    pub item_code: String,
    /// Line of the item.
    pub line: String,
    /// When it was opened for the first time.
    pub opened_at: Option<Timestamp>,
    /// An agreement is in effect.
    pub agreed: bool,
    /// Its mediator is of the community or below.
    pub within_community: bool,
    /// Day by which it is to be performed, if one was agreed on.
    pub performance_due_at: Option<Timestamp>,
    /// It was found performed.
    pub performed: bool,
}

/// An event about a mediation, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct MediationEvent {
    /// The mediation.
    pub mediation_id: Uuid,
    case_id: Uuid,
    version: i64,
    at: Timestamp,
    step: Step,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Opened, or begun anew: what was agreed on is in effect no more.
    Opened {
        place: Option<Uuid>,
        item_code: String,
        line: String,
    },
    Agreed {
        within_community: bool,
        due: Option<Timestamp>,
    },
    Performed,
    Breached,
    Failed,
}

impl MediationEvent {
    /// Reads an event; `None` for one that is about no mediation or changes no fact of it. Broken bytes or ids are
    /// `Internal`, which parks the event.
    ///
    /// # Errors
    /// As said.
    pub fn of(event: &Event) -> Result<Option<Self>> {
        let (mediation_id, step) = if event.is::<wire::MediationOpened>() {
            let m: wire::MediationOpened = read(event)?;
            let place = Uuid::parse_str(&m.place_unit_id).ok();
            (m.mediation_id, Step::Opened { place, item_code: m.item_code, line: m.line })
        } else if event.is::<wire::MediationAgreed>() {
            let m: wire::MediationAgreed = read(event)?;
            let due = instant(m.performance_due_time.as_ref());
            (m.mediation_id, Step::Agreed { within_community: m.within_community, due })
        } else if event.is::<wire::MediationPerformed>() {
            (read::<wire::MediationPerformed>(event)?.mediation_id, Step::Performed)
        } else if event.is::<wire::MediationBreached>() {
            (read::<wire::MediationBreached>(event)?.mediation_id, Step::Breached)
        } else if event.is::<wire::MediationFailed>() {
            (read::<wire::MediationFailed>(event)?.mediation_id, Step::Failed)
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            mediation_id: Uuid::parse_str(&mediation_id).map_err(Error::internal)?,
            case_id: event.partition_key,
            version: event.aggregate_version,
            at: event.time,
            step,
        }))
    }
}

impl MediationFact {
    /// The fact after the event. An event that is not newer than the fact changes nothing.
    pub fn apply(before: Option<Self>, event: &MediationEvent) -> Self {
        if let Some(fact) = &before
            && event.version <= fact.version
        {
            return fact.clone();
        }
        let new = || Self { mediation_id: event.mediation_id, case_id: event.case_id, ..Self::default() };
        let mut fact = before.unwrap_or_else(new);
        fact.version = event.version;
        match &event.step {
            Step::Opened { place, item_code, line } => {
                fact.place_unit_id = *place;
                item_code.clone_into(&mut fact.item_code);
                line.clone_into(&mut fact.line);
                fact.opened_at.get_or_insert(event.at);
                fact.undo();
            }
            Step::Agreed { within_community, due } => {
                (fact.agreed, fact.within_community) = (true, *within_community);
                (fact.performance_due_at, fact.performed) = (*due, false);
            }
            Step::Performed => fact.performed = true,
            Step::Breached => fact.performed = false,
            Step::Failed => fact.undo(),
        }
        fact
    }

    /// Nothing is agreed on, any more.
    fn undo(&mut self) {
        (self.agreed, self.within_community, self.performed) = (false, false, false);
        self.performance_due_at = None;
    }

    /// The day it counts on as a dispute that was opened.
    pub fn opened_day(&self) -> Option<chrono::NaiveDate> {
        self.opened_at.map(local_day)
    }

    /// The day it counts on as an agreement to be performed.
    pub fn due_day(&self) -> Option<chrono::NaiveDate> {
        self.performance_due_at.filter(|_| self.agreed).map(local_day)
    }
}

fn read<M: EventMessage>(event: &Event) -> Result<M> {
    M::decode(event.data.clone()).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};

    use super::*;

    fn event(version: i64, step: Step) -> MediationEvent {
        let at = Utc.with_ymd_and_hms(2026, 3, 2, 2, 0, 0).unwrap() + TimeDelta::days(version);
        MediationEvent { mediation_id: Uuid::from_u128(1), case_id: Uuid::from_u128(2), version, at, step }
    }

    fn opened() -> Step {
        Step::Opened { place: Some(Uuid::from_u128(3)), item_code: "ZF-0120".into(), line: "justice".into() }
    }

    fn after(steps: impl IntoIterator<Item = Step>) -> MediationFact {
        let steps = (1..).zip(steps).map(|(version, step)| event(version, step));
        steps.fold(None, |fact, event| Some(MediationFact::apply(fact, &event))).unwrap()
    }

    #[test]
    fn an_agreement_counts_until_the_talks_begin_anew_or_fail() {
        let due = Some(Utc.with_ymd_and_hms(2026, 4, 1, 10, 0, 0).unwrap());
        let agreed = || Step::Agreed { within_community: true, due };
        let fact = after([opened(), agreed(), Step::Performed]);
        assert!(fact.agreed && fact.within_community && fact.performed);
        assert_eq!(fact.due_day(), due.map(local_day));
        assert!(!after([opened(), agreed(), Step::Performed, Step::Breached]).performed);
        for undone in [opened(), Step::Failed] {
            let fact = after([opened(), agreed(), undone]);
            assert!(!fact.agreed && !fact.within_community && fact.due_day().is_none());
            assert_eq!(fact.opened_at, Some(event(1, opened()).at), "it was opened once");
        }
    }

    #[test]
    fn an_event_that_comes_late_or_twice_changes_nothing() {
        let fact = after([opened(), Step::Failed]);
        for version in [1, 2] {
            let late = event(version, Step::Agreed { within_community: true, due: None });
            assert_eq!(MediationFact::apply(Some(fact.clone()), &late), fact);
        }
    }
}
