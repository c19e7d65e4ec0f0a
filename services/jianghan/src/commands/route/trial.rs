//! The pages of a dry run together, as they are printed.

use std::fmt::Write as _;

use proto::case_routing::v1::DryRunListVersionResponse;
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
    pub(super) street: String,
    pub(super) item: String,
    pub(super) from: String,
    pub(super) to: String,
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
            let street = names.units.get(&shift.street_unit_id);
            let new = Shifted {
                street: street
                    .map_or_else(|| "—".to_owned(), |unit| format!("{} {}", unit.code, unit.name_zh)),
                item: shift.item_code.clone(),
                from: org(&shift.from_org_id),
                to: org(&shift.to_org_id),
                count: i64::from(shift.count),
            };
            let same = |known: &&mut Shifted| {
                (&known.street, &known.item, &known.from, &known.to)
                    == (&new.street, &new.item, &new.from, &new.to)
            };
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
            let _ = writeln!(
                text,
                "{:>6} {} {}: {} → {}",
                shift.count, shift.street, shift.item, shift.from, shift.to
            );
        }
        for case in &self.example_case_ids {
            let _ = writeln!(text, "  case {case}");
        }
        text
    }
}
