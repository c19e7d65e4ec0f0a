//! The pages of a dry run together, as they are printed.

use std::fmt::Write as _;

use proto::case_routing::v1::{AssistNeed, AssistShift, DryRunListVersionResponse};
use serde::Serialize;

use super::Names;

/// The pages of a dry run together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Trial {
    pub(super) compared: i64,
    pub(super) changed: i64,
    pub(super) lost_lead: i64,
    pub(super) to_fallback: i64,
    pub(super) shifts: Vec<Shifted>,
    pub(super) example_case_ids: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Shifted {
    pub(super) street_unit_id: String,
    pub(super) street: String,
    pub(super) item: String,
    pub(super) from: String,
    pub(super) to: String,
    /// Kinds of the decision.
    pub(super) from_kind: String,
    pub(super) to_kind: String,
    /// Assists that come (+), go (-) or are needed otherwise (~).
    pub(super) assists: Vec<String>,
    pub(super) count: i64,
}

impl Trial {
    pub(super) fn add(&mut self, page: &DryRunListVersionResponse, names: &Names) {
        self.compared += i64::from(page.compared);
        self.changed += i64::from(page.changed);
        self.lost_lead += i64::from(page.lost_lead);
        self.to_fallback += i64::from(page.to_fallback);
        let room = 20_usize.saturating_sub(self.example_case_ids.len());
        self.example_case_ids.extend(page.example_case_ids.iter().take(room).cloned());
        for shift in &page.shifts {
            let org = |id: &str| if id.is_empty() { "—".to_owned() } else { names.org(id) };
            let street = |id: &str| if id.is_empty() { "—".to_owned() } else { names.unit(id) };
            let new = Shifted {
                street_unit_id: shift.street_unit_id.clone(),
                street: street(&shift.street_unit_id),
                item: shift.item_code.clone(),
                from: org(&shift.from_org_id),
                to: org(&shift.to_org_id),
                from_kind: shift.from_kind.clone(),
                to_kind: shift.to_kind.clone(),
                assists: shift.assists.iter().map(|assist| assisting(assist, names)).collect(),
                count: i64::from(shift.count),
            };
            let same = |known: &&mut Shifted| known.what() == new.what();
            match self.shifts.iter_mut().find(same) {
                Some(known) => known.count += new.count,
                None => self.shifts.push(new),
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} compared, {} changed, {} without a lead, {} to the district\n",
            self.compared, self.changed, self.lost_lead, self.to_fallback
        );
        for shift in &self.shifts {
            let _ = writeln!(text, "{:>6} {}", shift.count, shift.text());
        }
        for case in &self.example_case_ids {
            let _ = writeln!(text, "  case {case}");
        }
        text
    }
}

impl Shifted {
    /// All but the count; streets by their id, as two of the same code and name may have followed one another.
    fn what(&self) -> ([&str; 6], &[String]) {
        let own = [&self.street_unit_id, &self.item, &self.from, &self.to, &self.from_kind, &self.to_kind];
        (own.map(String::as_str), &self.assists)
    }

    /// `420103005 满春街道 CJ-0142: A → B; fallback, was dispatched; + C`
    fn text(&self) -> String {
        let Self { street, item, from, to, from_kind, to_kind, assists, .. } = self;
        let lead = if from == to { from.clone() } else { format!("{from} → {to}") };
        let kind = if from_kind == to_kind { String::new() } else { format!("; {to_kind}, was {from_kind}") };
        let assists: String = assists.iter().map(|assist| format!("; {assist}")).collect();
        format!("{street} {item}: {lead}{kind}{assists}")
    }
}

/// `+ dept:housing 房管局 (mandatory)`
fn assisting(assist: &AssistShift, names: &Names) -> String {
    let sign = match (assist.before(), assist.after()) {
        (AssistNeed::Absent, _) => '+',
        (_, AssistNeed::Absent) => '-',
        _ => '~',
    };
    let now = match assist.after() {
        AssistNeed::Mandatory => " (mandatory)",
        AssistNeed::Optional => " (optional)",
        AssistNeed::Absent | AssistNeed::Unspecified => "",
    };
    format!("{sign} {}{now}", names.org(&assist.org_id))
}

#[cfg(test)]
mod tests {
    use proto::{
        case_routing::v1::RouteShift,
        identity::v1::{Unit, UnitState},
    };

    use super::*;

    #[test]
    fn what_changes_while_the_lead_stays_is_told_too() {
        let stays = RouteShift {
            item_code: "CJ-0142".into(),
            from_org_id: "o-1".into(),
            to_org_id: "o-1".into(),
            from_kind: "dispatched".into(),
            to_kind: "fallback".into(),
            count: 2,
            ..Default::default()
        };
        let assist = |before: AssistNeed, after: AssistNeed| AssistShift {
            org_id: "o-2".into(),
            before: before.into(),
            after: after.into(),
        };
        let with = |assist| RouteShift {
            to_kind: "dispatched".into(),
            count: 1,
            assists: vec![assist],
            ..stays.clone()
        };
        let page = DryRunListVersionResponse {
            shifts: vec![
                stays.clone(),
                with(assist(AssistNeed::Absent, AssistNeed::Mandatory)),
                with(assist(AssistNeed::Optional, AssistNeed::Absent)),
                with(assist(AssistNeed::Mandatory, AssistNeed::Optional)),
            ],
            ..Default::default()
        };
        let mut trial = Trial::default();
        trial.add(&page, &Names::default());
        trial.add(&page, &Names::default());
        let text = trial.text();
        let told: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
        let expected = [
            "4 — CJ-0142: o-1; fallback, was dispatched",
            "2 — CJ-0142: o-1; + o-2 (mandatory)",
            "2 — CJ-0142: o-1; - o-2",
            "2 — CJ-0142: o-1; ~ o-2 (optional)",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn streets_that_have_ended_keep_their_names_and_stay_apart() {
        let ended = |id: &str| Unit {
            unit_id: id.into(),
            code: "420103004".into(),
            name_zh: "水塔街道".into(),
            state: UnitState::Merged.into(),
            ..Default::default()
        };
        let units = ["u-2", "u-3"].map(|id| (id.to_owned(), ended(id)));
        let names = Names { units: units.into(), ..Names::default() };
        let shift = |street: &str, count| RouteShift {
            street_unit_id: street.into(),
            item_code: "CJ-0142".into(),
            count,
            ..Default::default()
        };
        let shifts = vec![shift("u-2", 1), shift("u-3", 2), shift("u-9", 4), shift("", 8), shift("u-3", 16)];
        let mut trial = Trial::default();
        trial.add(&DryRunListVersionResponse { shifts, ..Default::default() }, &names);
        let counts: Vec<_> = trial.shifts.iter().map(|shift| shift.count).collect();
        assert_eq!(counts, [1, 18, 4, 8]);
        let streets: Vec<_> = trial.shifts.iter().map(|shift| shift.street.as_str()).collect();
        assert_eq!(streets, ["420103004 水塔街道（已撤并）", "420103004 水塔街道（已撤并）", "u-9", "—"]);
        assert!(names.unit_id("420103004").is_err(), "a code is that of a unit in force");
    }
}
