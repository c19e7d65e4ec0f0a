//! The aggregate as the executor carries it: the case, and the rows its commands leave behind but no later command
//! reads (timeline, decisions, offers, the original text), until they are saved.

use std::{collections::BTreeMap, sync::Arc};

use chassis::event::Emit;
use uuid::Uuid;

use crate::{
    domain::{
        BenefitChange, Case, CaseId, ClosedCode, Decision, DomainEvent, NewNotice, OfferId, OrgId,
        RemarkKind, RoutingDecision, TaskPart, TicketId, TimelineEntry, Timestamp,
        exchange::{JoinedReport, Report, reports, reports_to_joined},
    },
    events,
};

/// A case under change.
#[derive(Debug, Clone)]
pub struct CaseRecord {
    /// The case, shared with whoever else holds it at this version. Of its routing decisions it holds the latest, without what
    /// was looked at.
    pub case: Arc<Case>,
    /// Version of the last event that told of the case; changes that nobody is told of lie above it.
    pub told_version: i64,
    /// The latest decision with what was looked at, where it was read for somebody to see.
    pub shown: Option<Arc<RoutingDecision>>,
    /// Rows to be written.
    pub pending: Pending,
}

/// Rows that are written once and not read by commands.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// One entry per command: its steps.
    pub timeline: Vec<Vec<TimelineEntry>>,
    /// Decisions, oldest first; the latest is shared with whoever shows it.
    pub decisions: Vec<Arc<RoutingDecision>>,
    /// Offers whose state changed.
    pub offers: BTreeMap<OfferId, (Option<OrgId>, OfferState)>,
    /// The original text, sealed.
    pub sealed_text: Option<Vec<u8>>,
    /// Words that were added.
    pub remarks: Vec<NewRemark>,
    /// Index of the person and the id of their own under which they made the case.
    pub client_key: Option<Vec<u8>>,
    /// The public copy of an application's notice that begins.
    pub notice: Option<NewNotice>,
    /// What became of a lasting benefit.
    pub benefit: Option<BenefitChange>,
    /// The ticket of another system that a new case comes from.
    pub ticket: Option<NewTicket>,
    /// What the systems that know the case have to hear.
    pub reports: Vec<Report>,
    /// What those have to hear that know a case that was merged into it.
    pub joined_reports: Vec<JoinedReport>,
    /// The line that it was handed off by; a system that takes the line gets a referral.
    pub handed_off: Option<String>,
    /// It came back from where it was handed off to before: nobody there is waited for any more.
    pub taken_back: bool,
}

/// Words as they are added.
#[derive(Debug, Clone)]
pub struct NewRemark {
    pub id: Uuid,
    pub kind: RemarkKind,
    pub redacted: String,
    pub sealed: Vec<u8>,
    /// Of the kind `joined`: in which case they were said.
    pub from: Option<CaseId>,
    /// The step that they came with.
    pub step: TimelineEntry,
}

/// A ticket as it is taken.
#[derive(Debug, Clone)]
pub struct NewTicket {
    pub id: TicketId,
    pub system_code: String,
    pub ext_no: String,
    pub mapping_version: i32,
    pub class_code: String,
    pub class_name: String,
    pub area_code: String,
    pub reported_at: Option<Timestamp>,
    /// What was pushed, encrypted.
    pub sealed: Vec<u8>,
}

/// What an offer's partner knows of it; equal to what volunteer-matching holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferState {
    /// Asked, not confirmed.
    Open,
    /// The partner leads.
    Confirmed,
    /// The partner's work is done, as it says.
    Completed,
    /// The parties of a dispute agreed, without a word of the partner that leads: of its hours nothing is known here.
    Settled,
    /// Ended without a result.
    Withdrawn,
}

impl OfferState {
    /// The code in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Settled => "settled",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl CaseRecord {
    /// A case as it was loaded.
    pub fn loaded(case: impl Into<Arc<Case>>, told_version: i64) -> Self {
        Self { case: case.into(), told_version, shown: None, pending: Pending::default() }
    }

    /// What a decision makes of a record, and what it tells.
    pub fn after(current: Option<&Self>, decision: Decision) -> (Self, Vec<Emit>) {
        let Decision { mut case, events, timeline } = decision;
        let (told_before, known, mut pending) = current.map_or((0, 0, Pending::default()), |record| {
            (record.told_version, record.case.routing.len(), record.pending.clone())
        });
        if !timeline.is_empty() {
            pending.timeline.push(timeline);
        }
        pending.decisions.extend(case.routing.drain(..).skip(known).map(Arc::new));
        // The latest decision stays with the case, so that the domain knows there was one.
        let latest = pending
            .decisions
            .last()
            .map(|decision| light(decision))
            .or_else(|| current.and_then(|record| record.case.routing.last().cloned()));
        case.routing.extend(latest);
        for told in &events {
            note_offer(&mut pending.offers, &told.event);
            // A partner's part is done when it says so, though the case may wait for others; or by an agreement of the parties.
            if let DomainEvent::TaskSubmitted { part: TaskPart::Lead, .. } = &told.event
                && let Some(offer) = case.confirmed_offer()
            {
                let agreed = case.closed_code == Some(ClosedCode::Mediated);
                let state = if agreed { OfferState::Settled } else { OfferState::Completed };
                pending.offers.insert(offer.id, (Some(offer.partner), state));
            }
            if let DomainEvent::CaseHandedOff { line_code, .. } = &told.event {
                pending.handed_off = Some(line_code.clone());
            }
            if let DomainEvent::CaseReturnedFromReferral { .. } = &told.event {
                pending.handed_off = None;
                pending.taken_back = true;
            }
        }
        // Its part is done all the same, though somebody else has taken the case up; no event tells of that.
        let known_done = current.and_then(|record| record.case.offer.as_ref()?.done_at).is_some();
        if let Some(offer) = case.offer.as_ref().filter(|offer| offer.done_at.is_some() && !known_done) {
            pending.offers.insert(offer.id, (Some(offer.partner), OfferState::Completed));
        }
        let before = current.map(|record| record.case.state);
        pending.reports.extend(reports(&mut case, before, &events));
        pending.joined_reports.extend(reports_to_joined(&case, before, &events));
        let told_version = events.last().map_or(told_before, |event| event.version);
        let emits = events.iter().map(events::emit).collect();
        (Self { case: Arc::new(case), told_version, shown: None, pending }, emits)
    }

    /// The latest decision, with its candidates if it was made just now or read to be seen.
    pub fn latest_decision(&self) -> Option<&RoutingDecision> {
        let made = self.pending.decisions.last().or(self.shown.as_ref());
        made.map(|decision| &**decision).or_else(|| self.case.routing.last())
    }
}

/// Without what was looked at, which is most of a decision and is not copied first.
fn light(decision: &RoutingDecision) -> RoutingDecision {
    let RoutingDecision {
        id,
        kind,
        lead,
        sender,
        mode,
        assists,
        candidates: _,
        rule_ids,
        reasons,
        confidence,
        by_human,
        list_version,
        rules_version,
        inputs: _,
        at,
    } = decision;
    RoutingDecision {
        id: *id,
        kind: *kind,
        lead: *lead,
        sender: *sender,
        mode: *mode,
        assists: assists.clone(),
        candidates: Vec::new(),
        rule_ids: rule_ids.clone(),
        reasons: reasons.clone(),
        confidence: *confidence,
        by_human: *by_human,
        list_version: list_version.clone(),
        rules_version: rules_version.clone(),
        inputs: None,
        at: *at,
    }
}

/// Follows the offer's events as its partner does.
fn note_offer(offers: &mut BTreeMap<OfferId, (Option<OrgId>, OfferState)>, event: &DomainEvent) {
    let (offer, partner, state) = match event {
        DomainEvent::CaseOffered { offer_id, partner_org_id, .. } => {
            (*offer_id, Some(*partner_org_id), OfferState::Open)
        }
        DomainEvent::CaseOfferConfirmed { offer_id, partner_org_id, .. } => {
            (*offer_id, Some(*partner_org_id), OfferState::Confirmed)
        }
        DomainEvent::CaseOfferWithdrawn { offer_id, partner_org_id, .. }
        | DomainEvent::CaseReturnedFromSociety { offer_id, partner_org_id, .. } => {
            (*offer_id, Some(*partner_org_id), OfferState::Withdrawn)
        }
        // Of whom it is, and whether by its word, was noted with its task.
        DomainEvent::CaseCompleted { offer_id: Some(offer_id), .. } => {
            offers.entry(*offer_id).or_insert((None, OfferState::Completed));
            return;
        }
        DomainEvent::CaseReworkOrdered { offer_id: Some(offer_id), .. } => {
            (*offer_id, None, OfferState::Confirmed)
        }
        DomainEvent::CaseWithdrawn { offer_id: Some(offer_id), .. } => {
            (*offer_id, None, OfferState::Withdrawn)
        }
        _ => return,
    };
    let known = offers.get(&offer).and_then(|(partner, _)| *partner);
    offers.insert(offer, (partner.or(known), state));
}
