//! A stored decision that was made anew, as it is printed.

use std::fmt::Write as _;

use proto::case_routing::v1::{DecisionDifference, DecisionReplay};
use serde::Serialize;

use super::Names;

/// A decision that was made anew.
#[derive(Debug, Serialize)]
pub(super) struct Replayed {
    pub(super) decision_id: String,
    pub(super) list_version: String,
    pub(super) kind: String,
    pub(super) lead: Option<String>,
    pub(super) outcome: String,
    /// Field, as stored, as it came out.
    pub(super) differences: Vec<(String, String, String)>,
    pub(super) topology_changed: bool,
}

impl Replayed {
    pub(super) fn of(replay: &DecisionReplay, names: &Names) -> Self {
        let decision = replay.decision.clone().unwrap_or_default();
        let part =
            |part: &DecisionDifference| (part.field.clone(), part.stored.clone(), part.replayed.clone());
        Self {
            lead: (!decision.lead_org_id.is_empty()).then(|| names.org(&decision.lead_org_id)),
            decision_id: decision.decision_id,
            list_version: decision.list_version,
            kind: decision.kind,
            outcome: replay.outcome.clone(),
            differences: replay.differences.iter().map(part).collect(),
            topology_changed: replay.topology_changed,
        }
    }

    pub(super) fn text(&self) -> String {
        let lead = self.lead.as_deref().unwrap_or("—");
        let mut text = format!(
            "{:<10} {} {} {} by {}\n",
            self.outcome, self.decision_id, self.kind, lead, self.list_version
        );
        for (field, stored, replayed) in &self.differences {
            let _ = writeln!(text, "  {field}: stored {stored}, now {replayed}");
        }
        if self.topology_changed && !self.differences.is_empty() {
            text.push_str("  units, organisations or edges have changed since\n");
        }
        text
    }
}
