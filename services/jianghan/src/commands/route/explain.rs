//! What the router says about a matter, with names instead of ids.

use std::fmt::Write as _;

use proto::case_routing::v1::{DispatchMode, Reason, RoutingDecision};
use serde::Serialize;

use super::Names;

/// What the router says, with names instead of ids.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) kind: String,
    /// Unset when the matter is for no organisation here.
    pub(super) lead: Option<String>,
    pub(super) sender: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) assists: Vec<String>,
    pub(super) rule_ids: Vec<String>,
    pub(super) list_version: String,
    pub(super) reasons: Vec<Why>,
    pub(super) candidates: Vec<Considered>,
}

#[derive(Debug, Serialize)]
pub(super) struct Why {
    pub(super) code: String,
    pub(super) zh: String,
    pub(super) en: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Considered {
    pub(super) org: String,
    pub(super) rule_id: String,
    pub(super) chosen: bool,
    pub(super) rejected: Option<Why>,
}

impl Explanation {
    pub(super) fn of(decision: &RoutingDecision, names: &Names) -> Self {
        let org = |id: &String| (!id.is_empty()).then(|| names.org(id));
        let mode = decision.mode();
        let candidates = decision.candidates.iter().map(|candidate| Considered {
            org: names.org(&candidate.org_id),
            rule_id: candidate.rule_id.clone(),
            chosen: candidate.chosen,
            rejected: candidate.rejected.as_ref().map(|reason| why(reason, names)),
        });
        Self {
            kind: decision.kind.clone(),
            lead: org(&decision.lead_org_id),
            sender: org(&decision.sender_org_id),
            mode: (mode != DispatchMode::Unspecified)
                .then(|| mode.as_str_name().trim_start_matches("DISPATCH_MODE_").to_lowercase()),
            assists: decision.assist_org_ids.iter().map(|id| names.org(id)).collect(),
            rule_ids: decision.rule_ids.clone(),
            list_version: decision.list_version.clone(),
            reasons: decision.reasons.iter().map(|reason| why(reason, names)).collect(),
            candidates: candidates.collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let none = "—".to_owned();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<12} {value}"); // writing to a String does not fail
        };
        line("kind", &self.kind);
        line("lead", self.lead.as_ref().unwrap_or(&none));
        if let (Some(sender), Some(mode)) = (&self.sender, &self.mode) {
            line("sent by", &format!("{sender} ({mode})"));
        }
        self.assists.iter().for_each(|org| line("assisting", org));
        line("rules", if self.rule_ids.is_empty() { none.clone() } else { self.rule_ids.join(" ") }.as_str());
        line("list", &self.list_version);
        self.reasons.iter().for_each(|why| line("because", &format!("{} / {}", why.zh, why.en)));
        for candidate in &self.candidates {
            let rule = if candidate.rule_id.is_empty() { &none } else { &candidate.rule_id };
            let verdict = match &candidate.rejected {
                None => "chosen".to_owned(),
                Some(why) => format!("{} / {}", why.zh, why.en),
            };
            line("candidate", &format!("{} [{rule}] {verdict}", candidate.org));
        }
        text
    }
}

/// Both texts, with organisations by name where the router gave their ids.
fn why(reason: &Reason, names: &Names) -> Why {
    let named = |text: &str| {
        let ids = reason.arguments.values().filter(|value| names.orgs.contains_key(*value));
        ids.fold(text.to_owned(), |text, id| text.replace(id.as_str(), &names.org(id)))
    };
    Why { code: reason.code.clone(), zh: named(&reason.text_zh), en: named(&reason.text_en) }
}
