//! The supplement (补正): one complete list of what is missing, asked for once, and what came in of it. The case keeps both, so
//! that the requester sees the list and nobody is taken in with nothing received.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::reason::Reason;
use super::state::Trigger;
use super::terms::BETWEEN;
use super::work::{Act, Decision, Work, check_code};

/// What was asked for, and what came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplement {
    /// The one complete list, each code once; empty where it was asked for before lists were kept.
    pub asked: Vec<String>,
    pub asked_at: Timestamp,
    /// Codes of what came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<String>,
    /// Where it is kept, as far as whoever sent it said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// Unset: nothing came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// Material that comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Materials {
    pub codes: Vec<String>,
    /// Where it is kept; none for what was handed in at the window.
    pub refs: Vec<String>,
}

impl Supplement {
    fn ask(asked: Vec<String>, asked_at: Timestamp) -> Self {
        Self { asked, asked_at, sent: Vec::new(), refs: Vec::new(), sent_at: None }
    }
}

impl Case {
    /// Asks, once, for a complete list of what is missing. The accept clock stands still meanwhile.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `supplement_asked_before`, `accepted_by_silence` once the time to decide is over, `recused` for the
    /// organisation complained of; `Invalid` for an empty list or wrong codes.
    pub fn request_supplement(self, material_codes: Vec<String>, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.request_supplement(material_codes)?;
        Ok(work.finish())
    }

    /// The requester sent what was missing, all of it; the case is accepted.
    ///
    /// # Errors
    /// `WrongState`; `Invalid` wrong codes, and while something of the list is missing, which the message names.
    pub fn supplement(self, materials: Materials, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Supplement)?;
        work.nothing_is_missing(&materials.codes)?;
        work.supplement(materials)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// One complete list of what is missing; the accept clock stands still.
    pub(super) fn request_supplement(&mut self, material_codes: Vec<String>) -> Result<()> {
        self.permit(Trigger::RequestSupplement)?;
        self.not_complained_of()?;
        if material_codes.is_empty() {
            return Err(DomainError::invalid("material_codes", "the complete list of what is missing"));
        }
        material_codes.iter().try_for_each(|code| check_code("material_codes", code))?;
        if self.case.supplement.is_some() || self.case.clock(ClockKind::Supplement, None).is_some() {
            return Err(DomainError::guard("supplement_asked_before", "a supplement is asked for once only"));
        }
        self.still_to_be_accepted()?;
        let asked = each_once(material_codes);
        let in_time = self.case.clock(ClockKind::Accept, None).is_some_and(|clock| clock.in_time(self.now));
        self.pause_clocks(&[ClockKind::Accept, ClockKind::Resolve]);
        let supplement_due_at = self.start_clock(ClockKind::Supplement, None, self.sla().supplement);
        self.enter(CaseState::NeedSupplement, Trigger::RequestSupplement)?;
        self.case.supplement = Some(Supplement::ask(asked.clone(), self.now));
        let reason = Reason::new("materials_missing").with("materials", asked.join(BETWEEN));
        let event =
            DomainEvent::CaseSupplementRequested { material_codes: asked, supplement_due_at, in_time };
        self.emit(event, Some(reason), None);
        Ok(())
    }

    /// Everything that was asked for is among the codes. A case of an earlier release has no list to compare with; something
    /// has to come in all the same.
    fn nothing_is_missing(&self, sent: &[String]) -> Result<()> {
        sent.iter().try_for_each(|code| check_code("material_codes", code))?;
        let asked = self.case.supplement.as_ref().map(|known| known.asked.as_slice()).unwrap_or_default();
        if asked.is_empty() && sent.is_empty() {
            return Err(DomainError::invalid("material_codes", "the codes of what comes in"));
        }
        let missing: Vec<&str> =
            asked.iter().filter(|code| !sent.contains(code)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(DomainError::invalid("material_codes", format!("still missing: {}", missing.join(", "))))
    }

    /// What was missing came in.
    pub(super) fn supplement(&mut self, materials: Materials) -> Result<()> {
        self.permit(Trigger::Supplement)?;
        let asked_at =
            self.case.clock(ClockKind::Supplement, None).map_or(self.now, |clock| clock.started_at);
        self.stop_clock(ClockKind::Supplement, None);
        self.resume_clocks();
        let in_time = self.end_accept();
        self.enter(CaseState::Accepted, Trigger::Supplement)?;
        let (sent, now) = (each_once(materials.codes), self.now);
        let told = (!sent.is_empty()).then(|| sent.join(BETWEEN));
        let known = self.case.supplement.get_or_insert_with(|| Supplement::ask(Vec::new(), asked_at));
        (known.sent, known.refs, known.sent_at) = (sent, materials.refs, Some(now));
        let reason = told.map(|told| Reason::new("materials_sent").with("materials", told));
        self.emit(DomainEvent::CaseSupplemented {}, reason, None);
        self.accepted(in_time, false)
    }
}

fn each_once(codes: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(codes.len());
    for code in codes {
        if !once.contains(&code) {
            once.push(code);
        }
    }
    once
}
