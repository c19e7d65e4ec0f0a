//! Where the organisations sat that the router looked at. Units become one, and what sat in them goes on in another: a decision
//! that was made before comes out the same only by where everybody was then.

use serde::{Deserialize, Serialize};

use super::ids::{OrgId, UnitId};
use super::item::ServiceItem;
use super::router::{RouteQuery, RoutingOutcome};
use super::table::RoutingTable;

/// Where they sat, and where that lay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// By unit, each once.
    pub orgs: Vec<(UnitId, Vec<OrgId>)>,
    /// Where their units lay, root → leaf, as far as the path of the place does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Vec<UnitId>>,
}

impl Seats {
    /// Of a question that was answered: organisations that entries for the item name there or that the answer tells of, the
    /// first receiver, and who may send any of them something.
    #[must_use]
    pub fn of(query: &RouteQuery<'_>, outcome: &RoutingOutcome, routes: &RoutingTable) -> Self {
        let chosen = outcome.lead.iter().chain(&outcome.assists).chain(&outcome.partner);
        let mut looked_at = routes.named_by_entries(query);
        looked_at.push(query.first_receiver);
        looked_at.extend(outcome.candidates.iter().map(|candidate| candidate.org));
        looked_at.extend(chosen.map(|choice| choice.org));
        looked_at.sort_unstable();
        looked_at.dedup();
        let line = query.item.and_then(ServiceItem::line);
        let (mut sat, mut paths) = (Vec::new(), Vec::new());
        for org in looked_at.iter().filter_map(|id| routes.org(*id)) {
            sat.push((org.unit, org.id));
            let senders = routes.senders(org, query.place, line, query.at);
            sat.extend(senders.map(|sender| (sender.unit, sender.id)));
            let path = routes.unit(org.unit).map(|unit| &*unit.path);
            paths.extend(path.filter(|path| !query.place.starts_with(path)).map(<[UnitId]>::to_vec));
        }
        sat.sort_unstable();
        sat.dedup();
        paths.sort_unstable();
        paths.dedup();
        let mut orgs: Vec<(UnitId, Vec<OrgId>)> = Vec::new();
        for (unit, org) in sat {
            match orgs.last_mut() {
                Some((last, there)) if *last == unit => there.push(org),
                _ => orgs.push((unit, vec![org])),
            }
        }
        Self { orgs, paths }
    }

    /// Each organisation with its unit.
    pub(super) fn each(&self) -> impl Iterator<Item = (UnitId, OrgId)> {
        self.orgs.iter().flat_map(|(unit, orgs)| orgs.iter().map(move |org| (*unit, *org)))
    }
}
