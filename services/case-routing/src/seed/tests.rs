use std::collections::BTreeSet;

use super::*;

/// Keys that the rows of a table of a file have.
fn keys(text: &str, table: &str) -> BTreeSet<String> {
    let file: toml::Table = toml::from_str(text).unwrap();
    let rows = file[table].as_array().unwrap();
    rows.iter().flat_map(|row| row.as_table().unwrap().keys().cloned()).collect()
}

/// Keys that a form has.
fn form(whole: &impl Serialize) -> BTreeSet<String> {
    serde_json::to_value(whole).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn no_key_of_a_shipped_file_goes_unread() {
    let mut entry = responsibility().entries[0].clone();
    entry.condition = Some("urgency=urgent".parse().unwrap());
    entry.precedent_id = Some(uuid::Uuid::nil());
    entry.fund_line = Some("budget".to_owned());
    for (text, table, known) in [
        (include_str!("../../seed/catalogue.toml"), "item", form(&catalogue().items[0])),
        (include_str!("../../seed/responsibility.toml"), "entry", form(&entry)),
        (include_str!("../../seed/sla_profiles.toml"), "profile", form(&profiles()[0])),
    ] {
        let unread: Vec<String> = keys(text, table).difference(&known).cloned().collect();
        assert_eq!(unread, Vec::<String>::new(), "{table}");
    }
}

#[test]
fn limits_that_were_stored_before_the_file_said_more_are_read() {
    let standard = profiles().iter().find(|profile| profile.code == "standard").unwrap();
    assert_eq!(standard.limits().consult, Limit::new(TimeUnit::WorkDay, 3));
    let mut stored = serde_json::to_value(standard).unwrap();
    for key in ["consultation", "rework_max"] {
        stored.as_object_mut().unwrap().remove(key).unwrap();
    }
    let read: Profile = serde_json::from_value(stored).unwrap();
    assert_eq!((read.limits().consult, read.rework_max), (Limit::new(TimeUnit::WorkDay, 1), 2));
}

#[test]
fn warnings_come_one_after_the_other_before_the_end() {
    let [first, second] = warn_percent();
    assert!(0 < first && first < second && second < 100);
    assert_eq!(supervision_answer(), Limit::new(TimeUnit::WorkDay, 1));
}

#[test]
fn the_periods_that_the_law_does_not_count_are_those_that_stop_an_application() {
    let causes = code_list("causes", include_str!("../../seed/suspend_causes.toml"));
    let not_counted: BTreeSet<&str> =
        causes.values().filter(|cause| cause.not_counted).map(|cause| cause.code.as_str()).collect();
    assert_eq!(not_counted, crate::domain::UNCOUNTED.into_iter().collect::<BTreeSet<&str>>());
    assert!(causes.values().all(|cause| !cause.zh.is_empty() && !cause.en.is_empty()));
}

#[test]
fn the_shipped_lists_belong_together() {
    let items: BTreeMap<&str, &Item> =
        catalogue().items.iter().map(|item| (item.item_code.as_str(), item)).collect();
    assert!(items.len() >= 150 && catalogue().categories.len() == 15);
    let occurs = |nature: &&Nature| items.values().any(|item| item.nature == **nature);
    let missing: Vec<&Nature> = Nature::ALL.iter().filter(|nature| !occurs(nature)).collect();
    assert!(missing.is_empty(), "no item is of the nature {missing:?}");
    for category in &catalogue().categories {
        assert!(items[category.default_item.as_str()].category == category.name_zh);
    }
    let profiles: Vec<&str> = profiles().iter().map(|profile| profile.code.as_str()).collect();
    for item in items.values() {
        assert!(profiles.contains(&item.sla_profile.as_str()), "{}", item.item_code);
        assert!(!item.self_solvable || !item.offer_chain.is_empty(), "{}", item.item_code);
        let known =
            |step: &&String| step.strip_prefix("kind:").is_none_or(|kind| kind.parse::<OrgKind>().is_ok());
        assert!(item.offer_chain.iter().all(|step| known(&step)), "{}", item.item_code);
    }
    for entry in &responsibility().entries {
        assert!(items.contains_key(entry.item_code.as_str()), "{}", entry.rule_id);
        assert!(entry.org.is_some() || entry.org_kind.is_some(), "{}", entry.rule_id);
    }
    assert!(suspension_days().values().all(|days| *days > 0));
    assert!(!objection_grounds().is_empty());
    assert!(
        decline_reasons()
            .values()
            .all(|r| !r.applies_to.contains(&"case".to_owned()) || !r.told_channel.is_empty())
    );
}

#[test]
fn every_code_of_the_lists_is_rendered_in_words_and_so_is_the_channel_that_is_told() {
    use crate::domain::{Language, Reason};
    let lists = [decline_reasons(), refusal_reasons(), objection_grounds(), suspend_causes()];
    assert_eq!(lists.map(BTreeMap::len), [17, 10, 9, 9]);
    let both = |reason: &Reason| {
        [Language::Chinese, Language::English].map(|language| reason.render_with(language, meaning))
    };
    for code in lists.into_iter().flat_map(|list| list.values()) {
        let [zh, en] = both(&Reason::new(&code.code));
        assert!(zh != code.code && en != code.code && zh != en, "{}", code.code);
    }
    for cause in suspend_causes().values() {
        let told = both(&Reason::new(&cause.code).with("told_ref", "doc:1"));
        assert!(told.iter().all(|text| text.contains("doc:1") && !text.contains("told_ref")), "{told:?}");
    }
    let told = decline_reasons().values().map(|code| &code.told_channel);
    let known = catalogue().items.iter().map(|item| &item.statutory_channel);
    for channel in told.chain(known).filter(|channel| !channel.is_empty()) {
        for reason in ["statutory_channel", "out_of_area"] {
            let [zh, _] = both(&Reason::new(reason).with("channel", channel));
            assert!(!zh.contains(channel), "{channel}: {zh}");
        }
    }
}

#[test]
fn every_line_of_the_shipped_lists_is_rendered_in_words() {
    use crate::domain::{Language, Reason};
    let items = catalogue().items.iter().flat_map(|item| &item.lines);
    let entries = responsibility().entries.iter().filter_map(|entry| entry.line.as_ref());
    let lines: BTreeSet<&String> = items.chain(entries).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() > 25, "{lines:?}");
    for line in lines {
        let reason = Reason::new("line_owner").with("line", line);
        let [zh, en] = [Language::Chinese, Language::English].map(|language| reason.render(language));
        assert!(!zh.contains(line.as_str()) && !en.contains('_'), "{line}: {zh} {en}");
    }
}

#[test]
fn the_shipped_working_hours_are_those_that_clocks_run_by() {
    assert_eq!(*usual_hours(), crate::domain::Rules::default().profile);
}

#[test]
fn every_item_keeps_what_the_domain_asks_of_it() {
    let rules = crate::domain::Rules::default();
    let from = calendar::instant(NaiveDate::from_ymd_opt(2026, 1, 4).unwrap(), chrono::NaiveTime::MIN);
    for item in &catalogue().items {
        let checked = item.service_item(&HashMap::new()).validate(&rules.calendar, &rules.profile, from);
        assert_eq!(checked, Ok(()), "{}", item.item_code);
    }
}

/// A district with every department that the catalogue names, and one street, community, station, committee.
fn district() -> crate::domain::TableParts {
    use crate::domain::{Edge, EdgeKind, OrgNode, TableParts, UnitId, UnitKind, UnitNode};
    let day = |day: NaiveDate| calendar::instant(day, chrono::NaiveTime::MIN);
    let from = day(responsibility().valid_from);
    let id = |n: usize| uuid::Uuid::from_u128(n as u128 + 1);
    let units: Vec<UnitId> = (0..3).map(|n| UnitId(id(n))).collect();
    let kinds = [UnitKind::District, UnitKind::Street, UnitKind::Community];
    let mut orgs: Vec<(OrgKind, usize, Option<&str>)> = vec![
        (OrgKind::Government, 0, None),
        (OrgKind::StreetOffice, 1, None),
        (OrgKind::ServiceStation, 2, None),
        (OrgKind::Committee, 2, None),
    ];
    let named = catalogue().items.iter().flat_map(|item| item.lines.iter().map(String::as_str));
    let listed = responsibility().entries.iter().filter_map(|entry| entry.line.as_deref());
    let lines: std::collections::BTreeSet<&str> = named.chain(listed).collect();
    orgs.extend(lines.iter().map(|line| (OrgKind::Department, 0, Some(*line))));
    let org = |n: usize| OrgId(id(100 + n));
    let edge = |from_org, to: usize, kind| Edge {
        from: org(from_org),
        to: org(to),
        kind,
        line: None,
        valid_from: from,
        valid_to: None,
    };
    let mut edges = vec![edge(1, 2, EdgeKind::Leads), edge(1, 3, EdgeKind::Guides)];
    edges.extend((1..orgs.len()).filter(|n| !(2..4).contains(n)).map(|n| edge(0, n, EdgeKind::Leads)));
    let unit = |n: usize| UnitNode { id: units[n], kind: kinds[n], path: units[..=n].into() };
    let node = |(n, (kind, unit, line)): (usize, &(OrgKind, usize, Option<&str>))| OrgNode {
        id: org(n),
        kind: *kind,
        unit: units[*unit],
        line: line.map(str::to_owned),
        valid_from: from,
        valid_to: None,
    };
    let entries = responsibility().entries.iter();
    TableParts {
        version: "1".to_owned(),
        topology_version: 1,
        items: catalogue().items.iter().map(|item| item.service_item(&HashMap::new())).collect(),
        entries: entries.filter_map(|entry| entry.responsibility(&HashMap::new(), from, None)).collect(),
        units: (0..3).map(unit).collect(),
        merged: Vec::new(),
        orgs: orgs.iter().enumerate().map(node).collect(),
        edges,
        joint_body: None,
        hours: None,
        fallback: Some(org(0)),
        verifiers: Vec::new(),
    }
}

#[test]
fn every_shipped_item_finds_its_way_without_a_human() {
    use crate::domain::{RouteQuery, RoutingKind, RoutingTable, Urgency};
    let parts = district();
    let place: Vec<_> = parts.units.iter().map(|unit| unit.id).collect();
    let (receiver, at) = (parts.orgs[2].id, parts.orgs[0].valid_from);
    let table = RoutingTable::new(parts);
    let rules = crate::domain::Rules::default();
    for item in &catalogue().items {
        let query = RouteQuery {
            item: table.item(&item.item_code, at).map(std::convert::AsRef::as_ref),
            place: &place,
            urgency: Urgency::Normal,
            first_receiver: receiver,
            complained_of: None,
            excluded: &[],
            may_offer: false,
            tried: &[],
            facts: crate::domain::Facts::unknown(),
            kept: None,
            at,
        };
        let outcome = table.route(&query).held_to(rules.min_confidence);
        assert_ne!(outcome.kind, RoutingKind::Proposed, "{}: {:?}", item.item_code, outcome.reasons);
    }
}
