//! The router: which organisation a case goes to, and why (domain.md §2.2.3). A pure function of the
//! routing table and the case; it never refuses a case and never decides on merit.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codes::{DispatchMode, ListPart, OrgKind, RoutingKind, Urgency};
use super::condition::{Circumstances, Facts};
use super::event::Timestamp;
use super::ids::{OrgId, UnitId};
use super::item::{Holder, PartnerRule, ResponsibilityEntry, ServiceItem};
use super::judge::Judge;
use super::lists::{EntryList, ItemIndex};
use super::reason::Reason;
use super::replay::RoutingInputs;
use super::table::{OrgNode, RoutingTable};

/// Confidence, in percent, of a choice by a list entry.
const BY_ENTRY: u8 = 95;
const BY_FIRST_RECEIVER: u8 = 70;
const BY_FALLBACK: u8 = 60;

/// What the router looks at.
#[derive(Debug, Clone)]
pub struct RouteQuery<'a> {
    pub item: Option<&'a ServiceItem>,
    /// Units above the place, root → leaf.
    pub place: &'a [UnitId],
    pub urgency: Urgency,
    pub first_receiver: OrgId,
    /// The organisation complained of: steps aside.
    pub complained_of: Option<OrgId>,
    /// Organisations that declined, objected with success, or gave up.
    pub excluded: &'a [OrgId],
    /// The requester agrees to an offer, and the case has not left society already.
    pub may_offer: bool,
    /// Partners already asked.
    pub tried: &'a [OrgId],
    /// What conditions of entries ask besides.
    pub facts: Facts,
    /// What they were judged by when this was asked before; taken as it is then.
    pub kept: Option<&'a Circumstances>,
    pub at: Timestamp,
}

/// An organisation chosen for a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub org: OrgId,
    pub unit: UnitId,
    pub sender: OrgId,
    /// Equals the kind of the edge from the sender.
    pub mode: DispatchMode,
    pub mandatory: bool,
    pub rule_id: Option<String>,
}

impl Choice {
    /// Whether its organisation is only asked: a partner, who leads by an offer that it takes up, and in no other way.
    #[must_use]
    pub const fn is_invited(&self) -> bool {
        matches!(self.mode, DispatchMode::Invitation)
    }
}

/// An organisation that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub org: OrgId,
    pub unit: Option<UnitId>,
    pub rule_id: Option<String>,
    /// Unset for the chosen one.
    pub rejected_because: Option<Reason>,
}

/// Where a case goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingOutcome {
    /// `offered`, `dispatched`, `fallback`, `proposed`; `handed_off` and `answered_at_window` when the item says so.
    pub kind: RoutingKind,
    /// Unset when the case is not for any organisation here, or nobody at all can take it.
    pub lead: Option<Choice>,
    pub assists: Vec<Choice>,
    /// The partner to ask next, for `offered`.
    pub partner: Option<Choice>,
    pub candidates: Vec<Candidate>,
    pub rule_ids: Vec<String>,
    pub reasons: Vec<Reason>,
    /// Percent; below the threshold of the cell a human decides.
    pub confidence: u8,
    /// Emergency line or statutory channel.
    pub channel_code: Option<String>,
    /// The version of the list that decided.
    pub list_version: Arc<str>,
    /// Open work that the choice of the lead looked at, without zeros.
    pub loads: Vec<(OrgId, u32)>,
    /// What conditions were judged by, if an entry that was looked at has one.
    pub circumstances: Option<Circumstances>,
    /// All that was looked at, where it is to be kept.
    pub inputs: Option<Box<RoutingInputs>>,
}

impl RoutingOutcome {
    /// No organisation, for no reason yet; decided by a list at an instant.
    #[must_use]
    pub fn of(kind: RoutingKind, list: &EntryList, at: Timestamp) -> Self {
        Self {
            kind,
            lead: None,
            assists: Vec::new(),
            partner: None,
            candidates: Vec::new(),
            rule_ids: Vec::new(),
            reasons: Vec::new(),
            confidence: 100,
            channel_code: None,
            list_version: list.cited(at).clone(),
            loads: Vec::new(),
            circumstances: None,
            inputs: None,
        }
    }

    /// A lead that the router is less sure of than the cell asks for is only proposed: a human decides (step 7).
    #[must_use]
    pub fn held_to(mut self, min_confidence: u8) -> Self {
        if let Some(inputs) = &mut self.inputs {
            inputs.threshold = Some(min_confidence);
        }
        if self.lead.is_some() && self.confidence < min_confidence {
            let why = Reason::new("needs_human").with("confidence", self.confidence);
            self.kind = RoutingKind::Proposed;
            self.reasons.push(why.with("threshold", min_confidence));
        }
        self
    }
}

impl RoutingTable {
    /// Decides where a case goes. Steps 1, 3–7 of domain.md §2.2.3; duplicates (step 2) are a human's.
    #[must_use]
    pub fn route(&self, query: &RouteQuery<'_>) -> RoutingOutcome {
        self.decide(query, Judge::new(self, query))
    }

    /// The same as releases decided that kept no seats: they offered a case also to a partner on the negative list, and of whoever
    /// does not lead without an entry they told only what the lists bar.
    pub(super) fn route_as_before_seats(&self, query: &RouteQuery<'_>) -> RoutingOutcome {
        self.decide(query, Judge::as_before_seats(self, query))
    }

    fn decide(&self, query: &RouteQuery<'_>, judge: Judge<'_>) -> RoutingOutcome {
        let list = &**self.list_at(query.place, query.at);
        let mut outcome = RoutingOutcome::of(RoutingKind::Dispatched, list, query.at);
        if let Some(line) = query.item.and_then(|item| item.emergency_line.as_ref()) {
            outcome.kind = RoutingKind::HandedOff;
            outcome.reasons.push(Reason::new("emergency_line").with("line", line));
            outcome.channel_code = Some(line.clone());
            return outcome;
        }
        if let Some(channel) = query.item.and_then(|item| item.statutory_channel.as_ref()) {
            outcome.kind = RoutingKind::AnsweredAtWindow;
            outcome.reasons.push(Reason::new("statutory_channel").with("channel", channel));
            outcome.channel_code = Some(channel.clone());
            return outcome;
        }
        self.choose_partner(list, query, &judge, &mut outcome);
        if outcome.partner.is_none() {
            self.choose_lead(list, query, &judge, &mut outcome);
            self.choose_assists(list, query, &judge, &mut outcome);
        }
        outcome.circumstances = judge.found();
        outcome
    }

    /// Step 3: the next partner of the item's S→M→G chain. Who takes an offer up leads, so nobody is asked whom the negative list bars from it.
    fn choose_partner(
        &self,
        list: &EntryList,
        query: &RouteQuery<'_>,
        judge: &Judge<'_>,
        outcome: &mut RoutingOutcome,
    ) {
        let Some(item) = query.item.filter(|item| item.self_solvable) else { return };
        if query.urgency == Urgency::Emergency {
            return outcome.reasons.push(Reason::new("emergency_no_offer"));
        }
        if !query.may_offer {
            return outcome.reasons.push(Reason::new("requester_prefers_public_service"));
        }
        let index = list.item(&item.code).filter(|_| !judge.as_before_seats);
        for step in &item.society_chain {
            let asked = |org: &&OrgNode| match step {
                PartnerRule::Kind(kind) => org.kind == *kind,
                PartnerRule::Org(id) => org.id == *id,
            };
            for unit in query.place.iter().rev() {
                for org in self.orgs_at(*unit, query.at).filter(asked) {
                    let sender = self.sender_to(org.id, query.place, item.line(), query.at);
                    let partner = sender.filter(|(_, mode)| {
                        matches!(mode, DispatchMode::Invitation | DispatchMode::WorkOrder)
                    });
                    let rejected = if query.tried.contains(&org.id) || query.excluded.contains(&org.id) {
                        Some("excluded")
                    } else if query.complained_of == Some(org.id) {
                        Some("recused")
                    } else if index.is_some_and(|index| Self::is_negative(list, index, org, judge)) {
                        Some("negative_list")
                    } else {
                        partner.is_none().then_some("not_a_partner")
                    };
                    outcome.candidates.push(Candidate {
                        org: org.id,
                        unit: Some(org.unit),
                        rule_id: None,
                        rejected_because: rejected.map(Reason::new),
                    });
                    if let (None, Some((sender, mode))) = (rejected, partner) {
                        let step = query.tried.len() + 1;
                        outcome.kind = RoutingKind::Offered;
                        outcome.reasons.push(Reason::new("self_solvable_offer").with("step", step));
                        outcome.partner = Some(choice(org, sender, mode, true, None));
                        return;
                    }
                }
            }
        }
        outcome.reasons.push(Reason::new("no_partner"));
    }

    /// Steps 4–6: the deepest competent organisation on the way from the place to the root.
    fn choose_lead(
        &self,
        list: &EntryList,
        query: &RouteQuery<'_>,
        judge: &Judge<'_>,
        outcome: &mut RoutingOutcome,
    ) {
        let line = query.item.and_then(ServiceItem::line);
        let unclear = query.item.is_some_and(|item| item.lead_line_unclear);
        let mut ranked = Vec::new();
        let listed = query.item.filter(|_| !unclear).and_then(|item| Some((item, list.item(&item.code)?)));
        if let Some((item, index)) = listed {
            outcome.candidates.reserve(32);
            for (depth, entry, org) in self.concerned(list, index, query.place, query.at) {
                if !matches!(entry.part, ListPart::Lead | ListPart::StatutoryDuty) && !names_no_part(entry) {
                    continue;
                }
                if let Some(reason) = judge.unmet(entry) {
                    outcome.candidates.push(rejected(org, entry, reason));
                    continue;
                }
                if let Some(reason) = Self::rejection((list, index), item, entry, org, judge) {
                    outcome.candidates.push(rejected(org, entry, Reason::new(reason)));
                    continue;
                }
                let Some(sender) = self.sender_to(org.id, query.place, line, query.at) else {
                    outcome.candidates.push(rejected(org, entry, Reason::new("no_authority_edge")));
                    continue;
                };
                if sender.1 == DispatchMode::Invitation {
                    outcome.candidates.push(rejected(org, entry, Reason::new("only_by_offer")));
                    continue;
                }
                let other_line = org.line.as_deref() != line;
                let load = self.load(org.id);
                ranked.push((std::cmp::Reverse(depth), other_line, load, org.id, org, entry, sender));
            }
        }
        if ranked.len() > 1 {
            let known = ranked.iter().map(|(_, _, load, id, ..)| (*id, *load)).filter(|(_, load)| *load > 0);
            outcome.loads.extend(known);
            outcome.loads.sort_unstable();
            outcome.loads.dedup();
        }
        ranked.sort_by_key(|(depth, other_line, load, id, ..)| (*depth, *other_line, *load, *id));
        ranked.dedup_by_key(|(_, _, _, id, ..)| *id);
        let mut ranked = ranked.into_iter();
        let Some((depth, other_line, load, _, org, entry, (sender, mode))) = ranked.next() else {
            return self.lead_without_entry(list, query, judge, outcome);
        };
        outcome.candidates.push(Candidate {
            org: org.id,
            unit: Some(org.unit),
            rule_id: Some(entry.rule_id.clone()),
            rejected_because: None,
        });
        outcome.reasons.push(Reason::new("deepest_competent").with("rule", &entry.rule_id));
        let mut same_level = None;
        for (other_depth, other_is_other_line, other_load, _, other, other_entry, _) in ranked {
            let why = if other_depth != depth {
                "not_deepest"
            } else if other_is_other_line != other_line {
                same_level = Some(Reason::new("line_owner").with("line", line.unwrap_or_default()));
                "not_line_owner"
            } else if other_load == load {
                same_level.get_or_insert_with(|| Reason::new("equal_load").with("load", load));
                "later_in_order"
            } else {
                same_level.get_or_insert_with(|| Reason::new("lower_load").with("load", load));
                "higher_load"
            };
            outcome.candidates.push(rejected(other, other_entry, Reason::new(why)));
        }
        outcome.reasons.extend(same_level);
        outcome.rule_ids.push(entry.rule_id.clone());
        outcome.confidence = BY_ENTRY;
        self.take_lead(choice(org, sender, mode, true, Some(entry)), outcome);
    }

    /// Step 6: the first receiver where lines are unclear, or who leads it where the lists bar it; else the district, which
    /// takes what nobody takes. What step 5 bars does not lead here either, and whoever does not is told with the reason.
    fn lead_without_entry(
        &self,
        list: &EntryList,
        query: &RouteQuery<'_>,
        judge: &Judge<'_>,
        outcome: &mut RoutingOutcome,
    ) {
        let line = query.item.and_then(ServiceItem::line);
        let unclear = query.item.is_some_and(|item| item.lead_line_unclear);
        let tell = |id: OrgId, why: &str, outcome: &mut RoutingOutcome| {
            let told = |known: &Candidate| {
                known.org == id && known.rejected_because.as_ref().is_some_and(|reason| reason.code == why)
            };
            if !outcome.candidates.iter().any(told) {
                let unit = self.org(id).map(|org| org.unit);
                let rejected_because = Some(Reason::new(why));
                outcome.candidates.push(Candidate { org: id, unit, rule_id: None, rejected_because });
            }
        };
        let reachable = |id: OrgId, outcome: &mut RoutingOutcome| match self.without_entry(id, query) {
            Ok(choice) => Some(choice),
            Err(why) => {
                if !judge.as_before_seats {
                    tell(id, why, outcome);
                }
                None
            }
        };
        let bar = |id: OrgId| {
            let (item, org) = (query.item?, self.org(id)?);
            Self::bar(list, item, org, query.at, |entry| judge.applies(entry))
        };
        let bar_told = |id: OrgId, outcome: &mut RoutingOutcome| {
            let why = bar(id);
            if let Some(why) = why {
                tell(id, why, outcome);
            }
            why.is_some()
        };
        let administration = |id: &OrgId| self.org(*id).is_some_and(|org| !org.kind.is_society());
        let receiver = Some(query.first_receiver).filter(|_| unclear).filter(administration);
        let mut found = None;
        if let Some(receiver) = receiver {
            if bar_told(receiver, outcome) {
                let above = self.leaders_of(receiver, line, query.at);
                let mut above = above.into_iter().filter(|id| self.fixed.fallback != Some(*id));
                let above = above.find_map(|id| reachable(id, outcome).filter(|_| !bar_told(id, outcome)));
                found = above.map(|lead| (lead, "above_first_receiver_leads"));
            } else {
                found = reachable(receiver, outcome).map(|lead| (lead, "first_receiver_leads"));
            }
        }
        let (lead, code, confidence) = match found {
            Some((lead, code)) => (Some(lead), code, BY_FIRST_RECEIVER),
            None => {
                outcome.kind = RoutingKind::Fallback;
                let fallback = self.fixed.fallback.filter(|id| !bar_told(*id, outcome));
                let fallback = fallback.and_then(|id| reachable(id, outcome));
                let code = if fallback.is_some() { "district_fallback" } else { "nobody_may_lead" };
                (fallback, code, BY_FALLBACK)
            }
        };
        outcome.reasons.push(Reason::new(code));
        outcome.confidence = if lead.is_some() { confidence } else { 0 };
        if let Some(lead) = lead {
            outcome.candidates.push(Candidate {
                org: lead.org,
                unit: Some(lead.unit),
                rule_id: None,
                rejected_because: None,
            });
            self.take_lead(lead, outcome);
        }
    }

    /// An organisation that no entry names, as lead; else why it cannot be.
    fn without_entry(&self, id: OrgId, query: &RouteQuery<'_>) -> Result<Choice, &'static str> {
        let org = self.org(id).filter(|org| org.in_force(query.at)).ok_or("org_not_active")?;
        if query.complained_of == Some(id) {
            return Err("recused");
        }
        if query.excluded.contains(&id) {
            return Err("excluded");
        }
        let line = query.item.and_then(ServiceItem::line);
        let sender = self.sender_to(id, query.place, line, query.at);
        let (sender, mode) = sender.ok_or("no_authority_edge")?;
        let choice = choice(org, sender, mode, true, None);
        if choice.is_invited() { Err("only_by_offer") } else { Ok(choice) }
    }

    fn take_lead(&self, lead: Choice, outcome: &mut RoutingOutcome) {
        let why = Reason::new("sender_nearest_superior").with("sender", lead.sender).with("mode", lead.mode);
        outcome.reasons.push(why);
        outcome.lead = Some(lead);
    }

    /// A lead that the router did not choose, with those whom the lists name to assist it.
    pub(super) fn with_listed_assists(
        &self,
        query: &RouteQuery<'_>,
        mut outcome: RoutingOutcome,
    ) -> RoutingOutcome {
        let list = &**self.list_at(query.place, query.at);
        self.choose_assists(list, query, &Judge::new(self, query), &mut outcome);
        outcome
    }

    /// Organisations that the lists name to assist, each by the edge that reaches it.
    fn choose_assists(
        &self,
        list: &EntryList,
        query: &RouteQuery<'_>,
        judge: &Judge<'_>,
        outcome: &mut RoutingOutcome,
    ) {
        let listed = query.item.and_then(|item| Some((item, list.item(&item.code)?)));
        let Some((item, index)) = listed else { return };
        let lead = outcome.lead.as_ref().map(|lead| lead.org);
        for (_, entry, org) in self.concerned(list, index, query.place, query.at) {
            if !matches!(entry.part, ListPart::Assist | ListPart::AssistDuty)
                || Some(org.id) == lead
                || outcome.assists.iter().any(|assist| assist.org == org.id)
                || !judge.applies(entry)
            {
                continue;
            }
            let barred = query.complained_of == Some(org.id) || query.excluded.contains(&org.id);
            if barred || Self::is_negative(list, index, org, judge) {
                continue;
            }
            if let Some((sender, mode)) = self.sender_to(org.id, query.place, item.line(), query.at) {
                outcome.rule_ids.push(entry.rule_id.clone());
                outcome.assists.push(choice(org, sender, mode, entry.mandatory, Some(entry)));
            }
        }
        if !outcome.assists.is_empty() {
            outcome.reasons.push(Reason::new("assists_by_list").with("count", outcome.assists.len()));
        }
    }

    /// The organisations that entries for the item name on the way from the place to the root.
    pub(super) fn named_by_entries(&self, query: &RouteQuery<'_>) -> Vec<OrgId> {
        let list = &**self.list_at(query.place, query.at);
        let Some(index) = query.item.and_then(|item| list.item(&item.code)) else { return Vec::new() };
        self.concerned(list, index, query.place, query.at).map(|(_, _, org)| org.id).collect()
    }

    /// The entries for an item that name an organisation on the path, deepest first.
    fn concerned<'t>(
        &'t self,
        list: &'t EntryList,
        index: &'t ItemIndex,
        place: &'t [UnitId],
        at: Timestamp,
    ) -> impl Iterator<Item = (usize, &'t ResponsibilityEntry, &'t OrgNode)> {
        let levels = place.iter().enumerate().rev();
        levels.flat_map(move |(depth, unit)| {
            let named =
                list.entries(index.named_at(*unit)).iter().filter_map(move |entry| match &entry.holder {
                    Holder::Org(id) => {
                        self.org(*id).filter(|org| org.in_force(at)).map(|org| (depth, entry, org))
                    }
                    Holder::Kind { .. } => None,
                });
            let by_kind = list.entries(index.by_kind()).iter().flat_map(move |entry| {
                self.orgs_at(*unit, at)
                    .filter(|org| means(&entry.holder, org))
                    .map(move |org| (depth, entry, org))
            });
            named.chain(by_kind).filter(move |(_, entry, _)| entry.in_force(at))
        })
    }

    /// Step 5: what bars an organisation from leading, whatever its entry says.
    fn rejection(
        (list, index): (&EntryList, &ItemIndex),
        item: &ServiceItem,
        entry: &ResponsibilityEntry,
        org: &OrgNode,
        judge: &Judge<'_>,
    ) -> Option<&'static str> {
        let query = judge.query;
        let low = org.kind.is_community_level() || org.kind == OrgKind::StreetOffice;
        let transferred = entry.transfer_ref.is_some();
        if query.complained_of == Some(org.id) {
            Some("recused")
        } else if query.excluded.contains(&org.id) {
            Some("excluded")
        } else if Self::is_negative(list, index, org, judge) {
            Some("negative_list")
        } else if matches!(entry.part, ListPart::Assist | ListPart::AssistDuty) {
            Some("assist_only")
        } else if org.kind.is_community_level() && entry.part != ListPart::StatutoryDuty && !transferred {
            Some("not_statutory_duty")
        } else if item.department_item && low && !transferred {
            Some("department_item_not_transferred")
        } else {
            None
        }
    }

    /// Step 5 for a choice made by hand: what bars an organisation from leading an item, if anything. Entries with a condition
    /// count where it holds; where nothing is known of a case, they do not.
    #[must_use]
    pub fn bars_lead(
        &self,
        item: &ServiceItem,
        org: OrgId,
        place: &[UnitId],
        about: Option<(Urgency, Facts)>,
        at: Timestamp,
    ) -> Option<&'static str> {
        let applies = |entry: &ResponsibilityEntry| self.applies(entry, place, about, at);
        Self::bar(self.list_at(place, at), item, self.org(org)?, at, applies)
    }

    /// Step 5 for an organisation that no entry names to lead.
    fn bar(
        list: &EntryList,
        item: &ServiceItem,
        org: &OrgNode,
        at: Timestamp,
        applies: impl Fn(&ResponsibilityEntry) -> bool,
    ) -> Option<&'static str> {
        let own = || {
            let entries = list.about(&item.code, org.unit);
            entries.filter(|entry| entry.in_force(at) && means(&entry.holder, org) && applies(entry))
        };
        // What an admission brought is named to assist, and never lets anybody lead.
        let leads =
            |entry: &ResponsibilityEntry| matches!(entry.part, ListPart::Lead | ListPart::StatutoryDuty);
        let transferred = || own().any(|entry| entry.transfer_ref.is_some() && leads(entry));
        let low = org.kind.is_community_level() || org.kind == OrgKind::StreetOffice;
        if own().any(|entry| entry.part == ListPart::Negative) {
            Some("negative_list")
        } else if org.kind.is_community_level()
            && !own().any(|entry| entry.part == ListPart::StatutoryDuty)
            && !transferred()
        {
            Some("not_statutory_duty")
        } else if item.department_item && low && !transferred() {
            Some("department_item_not_transferred")
        } else {
            None
        }
    }

    fn is_negative(list: &EntryList, index: &ItemIndex, org: &OrgNode, judge: &Judge<'_>) -> bool {
        let at = judge.query.at;
        let mut entries = list.negative(index, org.id);
        entries.any(|entry| entry.in_force(at) && means(&entry.holder, org) && judge.applies(entry))
    }
}

/// Entries that only restrict are shown among the candidates with the reason.
const fn names_no_part(entry: &ResponsibilityEntry) -> bool {
    matches!(entry.part, ListPart::Assist | ListPart::AssistDuty | ListPart::Negative)
}

pub(super) fn means(holder: &Holder, org: &OrgNode) -> bool {
    match holder {
        Holder::Org(id) => *id == org.id,
        Holder::Kind { kind, line } => *kind == org.kind && (line.is_none() || *line == org.line),
    }
}

fn choice(
    org: &OrgNode,
    sender: OrgId,
    mode: DispatchMode,
    mandatory: bool,
    entry: Option<&ResponsibilityEntry>,
) -> Choice {
    let rule_id = entry.map(|entry| entry.rule_id.clone());
    Choice { org: org.id, unit: org.unit, sender, mode, mandatory, rule_id }
}

fn rejected(org: &OrgNode, entry: &ResponsibilityEntry, reason: Reason) -> Candidate {
    Candidate {
        org: org.id,
        unit: Some(org.unit),
        rule_id: Some(entry.rule_id.clone()),
        rejected_because: Some(reason),
    }
}
