//! Items that a list leaves to nobody are found with the first such day.

use super::super::tests::{applied, items, shipped};
use super::super::{Draft, Known};
use super::*;
use crate::domain::OrgKind;

#[test]
fn no_item_is_left_without_a_lead() {
    let leads = shipped().into_values().filter(|listed| {
        listed.entry.item_code == "CJ-0101"
            && matches!(listed.entry.part, ListPart::Lead | ListPart::StatutoryDuty)
    });
    let leads: Vec<ListEntry> = leads.collect();
    let removed = leads.iter().map(|listed| listed.entry.rule_id.clone()).collect();
    let message = applied(&Draft { removed, ..Draft::default() }).unwrap_err().to_string();
    assert!(message.contains("CJ-0101"), "{message}");
    let ended = leads.into_iter().map(|lead| ListEntry { to: lead.from.succ_opt(), ..lead });
    let ended = Draft { upserts: ended.collect(), ..Draft::default() };
    assert!(applied(&ended).unwrap_err().to_string().contains("CJ-0101"));
}

#[test]
fn who_leads_from_a_day_that_lies_ahead_does_not_lead_today() {
    let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    let tomorrow = today.succ_opt().unwrap();
    let from = |from: NaiveDate| {
        let leads = shipped().into_values().filter(|listed| {
            listed.entry.item_code == "CJ-0101"
                && matches!(listed.entry.part, ListPart::Lead | ListPart::StatutoryDuty)
        });
        leads.map(move |listed| ListEntry { from, ..listed }).collect::<Vec<_>>()
    };
    let later = Draft { upserts: from(tomorrow), ..Draft::default() };
    assert!(applied(&later).unwrap_err().to_string().contains("CJ-0101"));
    assert!(applied(&Draft { upserts: from(today), ..Draft::default() }).is_ok());
    // Beside one that leads meanwhile.
    let mut beside = from(tomorrow);
    beside.iter_mut().for_each(|listed| listed.entry.rule_id.push_str("-NEW"));
    assert!(applied(&Draft { upserts: beside, ..Draft::default() }).is_ok());
    // A first list begins on its own first day.
    let org_kind = |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
    let upserts: Vec<ListEntry> =
        shipped().into_values().map(|listed| ListEntry { from: tomorrow, ..listed }).collect();
    let first = Draft { upserts, ..Draft::default() };
    let known = Known { items: &items(), org_kind: &org_kind, today };
    assert!(first.apply(&Entries::new(), &known).is_ok());
    let all_later = Draft { whole: true, ..first };
    assert!(all_later.apply(&shipped(), &known).is_err(), "nobody would lead anything today");
}

/// Whoever leads the item in the shipped list, changed.
fn leads_of(item: &str, change: impl Fn(&mut ListEntry)) -> Vec<ListEntry> {
    let mut found: Vec<ListEntry> =
        leads(&shipped()).filter(|listed| listed.entry.item_code == item).cloned().collect();
    found.iter_mut().for_each(change);
    found
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn who_leads_until_a_day_leaves_the_item_to_somebody_from_that_day_on() {
    let ends = leads_of("CJ-0101", |listed| listed.to = Some(day("2026-04-01")));
    let next = |from: &str| {
        leads_of("CJ-0101", |listed| {
            listed.entry.rule_id.push_str("-NEXT");
            listed.from = day(from);
        })
    };
    let drafted = |next: Vec<ListEntry>| {
        let upserts = ends.iter().cloned().chain(next).collect();
        applied(&Draft { upserts, ..Draft::default() })
    };
    for left in [drafted(Vec::new()), drafted(next("2026-04-02"))] {
        let message = left.unwrap_err().to_string();
        assert!(message.contains("CJ-0101 2026-04-01"), "{message}");
    }
    for from in ["2026-04-01", "2026-03-20"] {
        assert!(drafted(next(from)).is_ok(), "{from}");
    }
}

#[test]
fn a_version_is_put_in_force_when_it_leaves_no_item_to_nobody() {
    let items = items();
    let mut ends = shipped();
    for lead in leads_of("CJ-0101", |listed| listed.to = Some(day("2026-04-01"))) {
        ends.insert(lead.entry.rule_id.clone(), lead);
    }
    let bare = |in_force: &Entries, entries: &Entries, on: &str| {
        abandoned(&items, in_force, entries, day(on)).map(|bare| bare.to_string())
    };
    assert_eq!(bare(&shipped(), &shipped(), "2026-04-01"), None);
    let days = [("2026-03-31", "2026-04-01"), ("2026-04-01", "2026-04-01"), ("2026-05-01", "2026-05-01")];
    for (on, from) in days {
        // Also where the one in force has the same gap.
        for in_force in [&shipped(), &ends] {
            assert_eq!(bare(in_force, &ends, on), Some(format!("CJ-0101 {from}")), "{on}");
        }
    }
    // It came into the catalogue, and nobody leads it yet: then the version takes nothing from it.
    let mut without = shipped();
    without.retain(|_, listed| listed.entry.item_code != "CJ-0101");
    assert_eq!(bare(&without, &without, "2026-04-01"), None);
    assert_eq!(bare(&shipped(), &without, "2026-04-01"), Some("CJ-0101 2026-04-01".to_owned()));
}

#[test]
fn a_list_of_one_year_leaves_the_days_after_it_to_the_next() {
    let until = |days: [&str; 2]| {
        let [all, one] = days.map(day);
        let ends = |listed: ListEntry| {
            let to = Some(if listed.entry.item_code == "CJ-0101" { one } else { all });
            ListEntry { to, ..listed }
        };
        let upserts = shipped().into_values().filter(|listed| listed.entry.transfer_ref.is_none()).map(ends);
        applied(&Draft { upserts: upserts.collect(), whole: true, ..Draft::default() })
    };
    assert!(until(["2027-01-01", "2027-01-01"]).is_ok());
    let message = until(["2027-01-01", "2026-12-31"]).unwrap_err().to_string();
    assert!(message.contains("CJ-0101 2026-12-31"), "{message}");
    assert!(until(["2026-03-02", "2026-03-02"]).is_err(), "it is over before it begins");
}
