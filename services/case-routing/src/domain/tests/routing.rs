//! The router: levels, exclusions, fallback, offers, modes; and what a decision costs.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::world::*;

fn query<'a>(world: &'a World, item: &str, place: &'a [UnitId]) -> RouteQuery<'a> {
    RouteQuery {
        item: world.routes.item(item, world.now).map(Arc::as_ref),
        place,
        urgency: Urgency::Normal,
        first_receiver: STATION,
        complained_of: None,
        excluded: &[],
        may_offer: true,
        tried: &[],
        facts: Facts::unknown(),
        kept: None,
        at: world.now,
    }
}

const PLACE: [UnitId; 6] = [CITY, DISTRICT, STREET, COMMUNITY, COURTYARD, DOORWAY];

fn lead(outcome: &RoutingOutcome) -> OrgId {
    outcome.lead.as_ref().expect("a lead").org
}

fn rejected(outcome: &RoutingOutcome, org: OrgId) -> Vec<&str> {
    let candidates = outcome.candidates.iter().filter(|candidate| candidate.org == org);
    candidates.filter_map(|candidate| Some(candidate.rejected_because.as_ref()?.code.as_str())).collect()
}

fn codes(outcome: &RoutingOutcome) -> Vec<&str> {
    outcome.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

#[test]
fn the_deepest_competent_unit_leads_and_the_others_are_explained() {
    let world = World::new();
    let outcome = world.routes.route(&query(&world, "street_light", &PLACE));
    assert_eq!(lead(&outcome), STREET_OFFICE);
    assert_eq!(outcome.kind, RoutingKind::Dispatched);
    assert!(rejected(&outcome, URBAN).contains(&"not_deepest"));
    assert_eq!(outcome.rule_ids, ["r-light-street", "r-light-assist"]);
    let assist = &outcome.assists[0];
    assert_eq!((assist.org, assist.mandatory), (URBAN, true));
    let district_only = world.routes.route(&query(&world, "street_light", &PLACE[..2]));
    assert_eq!(lead(&district_only), URBAN);
    assert_eq!(district_only.assists, []);
}

#[test]
fn a_community_leads_its_statutory_duties_and_only_assists_otherwise() {
    let world = World::new();
    let outcome = world.routes.route(&query(&world, "stairs", &PLACE));
    assert_eq!(lead(&outcome), STATION);
    assert_eq!(rejected(&outcome, COMMITTEE), ["assist_only"]);
    assert_eq!(outcome.assists[0].org, COMMITTEE);
    assert_eq!(outcome.assists[0].mode, DispatchMode::AssistRequest);
    assert!(!outcome.assists[0].mandatory);

    let mut changed = parts();
    changed.entries.push(entry("r-x", "nobodys", STATION, ListPart::Lead));
    changed.entries.push(entry("r-y", "nobodys", HOUSING, ListPart::Lead));
    let world = World::of(changed);
    let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
    assert_eq!(lead(&outcome), HOUSING);
    assert_eq!(rejected(&outcome, STATION), ["not_statutory_duty"]);
}

#[test]
fn a_departments_item_goes_down_only_with_a_transfer() {
    let world = World::new();
    let outcome = world.routes.route(&query(&world, "demolition", &PLACE));
    assert_eq!(lead(&outcome), HOUSING);
    assert_eq!(rejected(&outcome, STREET_OFFICE), ["department_item_not_transferred"]);
    let mut changed = parts();
    let street = changed.entries.iter_mut().find(|entry| entry.rule_id == "r-demolition-street").unwrap();
    street.transfer_ref = Some("transfer-1".into());
    let world = World::of(changed);
    assert_eq!(lead(&world.routes.route(&query(&world, "demolition", &PLACE))), STREET_OFFICE);
}

#[test]
fn negative_lists_validity_recusal_and_exclusion_are_obeyed() {
    let mut changed = parts();
    changed.entries.push(entry("r-no", "street_light", STREET_OFFICE, ListPart::Negative));
    let world = World::of(changed);
    let outcome = world.routes.route(&query(&world, "street_light", &PLACE));
    assert_eq!(lead(&outcome), URBAN);
    assert!(rejected(&outcome, STREET_OFFICE).contains(&"negative_list"));

    let world = World::new();
    let complained =
        RouteQuery { complained_of: Some(STREET_OFFICE), ..query(&world, "street_light", &PLACE) };
    let outcome = world.routes.route(&complained);
    assert_eq!((lead(&outcome), rejected(&outcome, STREET_OFFICE)), (URBAN, vec!["recused"]));
    let excluded = [STREET_OFFICE, URBAN];
    let outcome =
        world.routes.route(&RouteQuery { excluded: &excluded, ..query(&world, "street_light", &PLACE) });
    assert_eq!((outcome.kind, lead(&outcome)), (RoutingKind::Fallback, GOVERNMENT));

    let mut expired = parts();
    let street = expired.entries.iter_mut().find(|entry| entry.rule_id == "r-light-street").unwrap();
    street.valid_to = Some(at("2026-01-01T00:00:00"));
    let world = World::of(expired);
    assert_eq!(lead(&world.routes.route(&query(&world, "street_light", &PLACE))), URBAN);
}

#[test]
fn at_one_level_the_owner_of_the_line_leads_and_then_the_one_with_less_work() {
    let mut changed = parts();
    changed.entries.push(entry("r-a", "nobodys", URBAN, ListPart::Lead));
    changed.entries.push(entry("r-b", "nobodys", HOUSING, ListPart::Lead));
    changed
        .items
        .iter_mut()
        .filter(|item| item.code == "nobodys")
        .for_each(|item| item.lines = vec!["housing".into()]);
    let world = World::of(changed);
    let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
    assert_eq!((lead(&outcome), rejected(&outcome, URBAN)), (HOUSING, vec!["not_line_owner"]));

    let mut changed = parts();
    changed.entries.push(entry("r-a", "nobodys", URBAN, ListPart::Lead));
    changed.entries.push(entry("r-b", "nobodys", HOUSING, ListPart::Lead));
    let mut world = World::of(changed);
    for (busy, free) in [(HOUSING, URBAN), (URBAN, HOUSING)] {
        world.routes = world.routes.with_load(Arc::new([(busy, 9), (free, 2)].into_iter().collect()));
        let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
        assert_eq!((lead(&outcome), rejected(&outcome, busy)), (free, vec!["higher_load"]));
        assert!(codes(&outcome).contains(&"lower_load"));
    }
    // Nobody is called less busy who is not.
    world.routes = world.routes.with_load(Arc::new([(HOUSING, 2), (URBAN, 2)].into_iter().collect()));
    let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
    assert_eq!((lead(&outcome), rejected(&outcome, URBAN)), (HOUSING, vec!["later_in_order"]));
    assert!(codes(&outcome).contains(&"equal_load") && !codes(&outcome).contains(&"lower_load"));
}

#[test]
fn an_organisation_takes_part_from_its_first_instant_until_its_last() {
    let mut changed = parts();
    let (from, to) = (at("2026-06-08T12:00:00"), at("2026-06-09T12:00:00"));
    changed.orgs.iter_mut().filter(|org| org.id == STREET_OFFICE).for_each(|org| {
        org.valid_from = from;
        org.valid_to = Some(to);
    });
    let world = World::of(changed);
    let lead_at = |at| lead(&world.routes.route(&RouteQuery { at, ..query(&world, "street_light", &PLACE) }));
    let second = chrono::TimeDelta::seconds(1);
    assert_eq!((lead_at(from - second), lead_at(from)), (URBAN, STREET_OFFICE));
    assert_eq!((lead_at(to - second), lead_at(to)), (STREET_OFFICE, URBAN));
}

#[test]
fn only_that_nobody_is_competent_needs_a_human() {
    let world = World::new();
    let needs_human = |item: &str| {
        let outcome = world.routes.route(&query(&world, item, &PLACE)).held_to(world.rules.min_confidence);
        (outcome.kind == RoutingKind::Proposed, codes(&outcome).contains(&"needs_human"))
    };
    for item in ["street_light", "stairs", "shopping_help", "tangled_cables", "fire", "court_matter"] {
        assert_eq!(needs_human(item), (false, false), "{item}");
    }
    assert_eq!(needs_human("nobodys"), (true, true));
}

#[test]
fn an_entry_for_a_kind_means_every_organisation_of_it() {
    let mut changed = parts();
    let kind = Holder::Kind { kind: OrgKind::StreetOffice, line: None };
    changed
        .entries
        .push(ResponsibilityEntry { holder: kind, ..entry("r-kind", "nobodys", STATION, ListPart::Lead) });
    let world = World::of(changed);
    assert_eq!(lead(&world.routes.route(&query(&world, "nobodys", &PLACE))), STREET_OFFICE);
}

#[test]
fn unclear_lines_stay_with_the_first_receiver_and_nobodys_matter_goes_to_the_district() {
    let world = World::new();
    let street = RouteQuery { first_receiver: STREET_OFFICE, ..query(&world, "tangled_cables", &PLACE) };
    let outcome = world.routes.route(&street);
    assert_eq!(lead(&outcome), STREET_OFFICE);
    assert!(codes(&outcome).contains(&"first_receiver_leads"));
    let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
    assert_eq!((outcome.kind, lead(&outcome)), (RoutingKind::Fallback, GOVERNMENT));
    let unknown = RouteQuery { item: None, ..query(&world, "nobodys", &PLACE) };
    assert_eq!(lead(&world.routes.route(&unknown)), GOVERNMENT);
    let world = World::of(TableParts { fallback: None, ..parts() });
    let outcome = world.routes.route(&query(&world, "nobodys", &PLACE));
    assert_eq!((outcome.lead, outcome.confidence), (None, 0));
}

#[test]
fn what_the_lists_bar_does_not_lead_as_first_receiver_or_last_resort_either() {
    let tangled = |entries: Vec<ResponsibilityEntry>, department_item: bool| {
        let mut changed = parts();
        changed.entries.extend(entries);
        let items = changed.items.iter_mut().filter(|item| item.code == "tangled_cables");
        items.for_each(|item| item.department_item = department_item);
        World::of(changed)
    };
    let routed = |world: &World, first_receiver| {
        let query = RouteQuery { first_receiver, ..query(world, "tangled_cables", &PLACE) };
        world.routes.route(&query)
    };
    // A community without the duty: its street does.
    let outcome = routed(&tangled(vec![], false), STATION);
    assert_eq!((lead(&outcome), rejected(&outcome, STATION)), (STREET_OFFICE, vec!["not_statutory_duty"]));
    assert!(codes(&outcome).contains(&"above_first_receiver_leads"));
    let duty = entry("r-duty", "tangled_cables", STATION, ListPart::StatutoryDuty);
    assert_eq!(lead(&routed(&tangled(vec![duty], false), STATION)), STATION);
    // What is a department's goes to neither of them.
    let outcome = routed(&tangled(vec![], true), STATION);
    assert_eq!((outcome.kind, lead(&outcome)), (RoutingKind::Fallback, GOVERNMENT));
    assert_eq!(rejected(&outcome, STREET_OFFICE), ["department_item_not_transferred"]);
    let transferred = ResponsibilityEntry {
        transfer_ref: Some("transfer-1".into()),
        ..entry("r-transfer", "tangled_cables", STREET_OFFICE, ListPart::Lead)
    };
    assert_eq!(lead(&routed(&tangled(vec![transferred], true), STREET_OFFICE)), STREET_OFFICE);
    // What an admission brought is for assistance, by the router as by hand.
    for (low, why) in [(STATION, "not_statutory_duty"), (STREET_OFFICE, "department_item_not_transferred")] {
        let admitted = ResponsibilityEntry {
            transfer_ref: Some("admission-1".into()),
            ..entry("r-admission", "tangled_cables", low, ListPart::AssistDuty)
        };
        let world = tangled(vec![admitted], true);
        let outcome = routed(&world, low);
        assert_eq!((outcome.kind, lead(&outcome)), (RoutingKind::Fallback, GOVERNMENT));
        assert!(rejected(&outcome, low).contains(&why), "{:?}", outcome.candidates);
        let item = world.routes.item("tangled_cables", world.now).unwrap();
        assert_eq!(world.routes.bars_lead(item, low, &PLACE, None, world.now), Some(why));
    }
    let never = |org| entry("r-never", "tangled_cables", org, ListPart::Negative);
    let outcome = routed(&tangled(vec![never(STREET_OFFICE)], false), STREET_OFFICE);
    assert_eq!((lead(&outcome), rejected(&outcome, STREET_OFFICE)), (GOVERNMENT, vec!["negative_list"]));
    let outcome = routed(&tangled(vec![never(STREET_OFFICE), never(GOVERNMENT)], false), STREET_OFFICE);
    assert_eq!((outcome.lead.clone(), outcome.confidence), (None, 0), "a human decides");
    assert!(codes(&outcome).contains(&"nobody_may_lead"), "{:?}", outcome.reasons);
    assert_eq!(rejected(&outcome, GOVERNMENT), ["negative_list"]);
}

#[test]
fn who_does_not_lead_as_first_receiver_above_it_or_as_last_resort_is_told_with_the_reason() {
    let on_duty = || {
        let mut changed = parts();
        changed.entries.push(entry("r-duty", "tangled_cables", STATION, ListPart::StatutoryDuty));
        changed
    };
    let world = World::of(on_duty());
    let asked = query(&world, "tangled_cables", &PLACE);
    let told = |world: &World, query: &RouteQuery<'_>, org| {
        let outcome = world.routes.route(query);
        let why: Vec<String> = rejected(&outcome, org).into_iter().map(str::to_owned).collect();
        (outcome.lead.map(|lead| lead.org), why)
    };
    let why = |why: &str| vec![why.to_owned()];
    let complained = RouteQuery { complained_of: Some(STATION), ..asked.clone() };
    assert_eq!(told(&world, &complained, STATION), (Some(GOVERNMENT), why("recused")));
    let declined = RouteQuery { excluded: &[STATION], ..asked.clone() };
    assert_eq!(told(&world, &declined, STATION), (Some(GOVERNMENT), why("excluded")));
    let mut alone = on_duty();
    alone.edges.retain(|edge| edge.to != STATION);
    assert_eq!(told(&World::of(alone), &asked, STATION), (Some(GOVERNMENT), why("no_authority_edge")));
    let mut ended = on_duty();
    let station = ended.orgs.iter_mut().find(|org| org.id == STATION).unwrap();
    station.valid_to = Some(at("2026-01-01T00:00:00"));
    assert_eq!(told(&World::of(ended), &asked, STATION), (Some(GOVERNMENT), why("org_not_active")));

    let above = World::new();
    let declined = RouteQuery { excluded: &[STREET_OFFICE], ..query(&above, "tangled_cables", &PLACE) };
    assert_eq!(told(&above, &declined, STREET_OFFICE), (Some(GOVERNMENT), why("excluded")));
    let complained = RouteQuery { complained_of: Some(GOVERNMENT), ..query(&above, "nobodys", &PLACE) };
    assert_eq!(told(&above, &complained, GOVERNMENT), (None, why("recused")));
}

#[test]
fn society_is_asked_in_the_order_of_the_chain_and_never_without_consent() {
    let world = World::new();
    let partner = |tried: &[OrgId]| {
        let outcome = world.routes.route(&RouteQuery { tried, ..query(&world, "shopping_help", &PLACE) });
        outcome.partner.map(|partner| (partner.org, partner.mode))
    };
    assert_eq!(partner(&[]), Some((GROUP, DispatchMode::Invitation)));
    assert_eq!(partner(&[GROUP]), Some((TEAM, DispatchMode::Invitation)));
    assert_eq!(partner(&[GROUP, TEAM]), Some((CONTRACTOR, DispatchMode::WorkOrder)));
    assert_eq!(partner(&[GROUP, TEAM, CONTRACTOR]), None);
    let refused = RouteQuery { may_offer: false, ..query(&world, "shopping_help", &PLACE) };
    assert_eq!(lead(&world.routes.route(&refused)), STATION);
    let emergency = RouteQuery { urgency: Urgency::Emergency, ..query(&world, "shopping_help", &PLACE) };
    assert_eq!(lead(&world.routes.route(&emergency)), STATION);
}

#[test]
fn a_partner_on_the_negative_list_is_not_asked() {
    let mut listed = parts();
    listed.entries.push(entry("r-no", "shopping_help", GROUP, ListPart::Negative));
    let world = World::of(listed);
    let outcome = world.routes.route(&query(&world, "shopping_help", &PLACE));
    assert_eq!(outcome.partner.as_ref().map(|partner| partner.org), Some(TEAM));
    assert_eq!(rejected(&outcome, GROUP), ["negative_list"]);
    let item = world.routes.item("shopping_help", world.now).unwrap();
    let by_hand = world.routes.bars_lead(item, GROUP, &PLACE, None, world.now);
    assert_eq!(by_hand, Some("negative_list"), "as by hand");
}

#[test]
fn a_partner_that_the_lists_name_to_lead_is_not_sent_the_case() {
    let mut listed = parts();
    listed.entries.push(entry("r-team", "street_light", TEAM, ListPart::Lead));
    let world = World::of(listed);
    let outcome = world.routes.route(&query(&world, "street_light", &PLACE));
    assert_eq!(lead(&outcome), STREET_OFFICE, "though it is the deepest");
    assert_eq!(rejected(&outcome, TEAM), ["only_by_offer"]);
}

#[test]
fn society_is_never_ordered_even_if_the_data_say_so() {
    let mut wrong = parts();
    wrong.edges.retain(|edge| edge.to != COMMITTEE);
    wrong.edges.push(Edge { kind: EdgeKind::Leads, to: COMMITTEE, ..wrong.edges[0].clone() });
    let world = World::of(wrong);
    assert_eq!(world.routes.sender_to(COMMITTEE, &PLACE, None, world.now), None);
    assert_eq!(lead(&world.routes.route(&query(&world, "committee_matter", &PLACE))), STREET_OFFICE);
}

#[test]
fn emergencies_and_statutory_channels_are_told_apart() {
    let world = World::new();
    let fire = world.routes.route(&query(&world, "fire", &PLACE));
    assert_eq!((fire.kind, fire.channel_code.as_deref()), (RoutingKind::HandedOff, Some("119")));
    let court = world.routes.route(&query(&world, "court_matter", &PLACE));
    assert_eq!(
        (court.kind, court.channel_code.as_deref()),
        (RoutingKind::AnsweredAtWindow, Some("litigation"))
    );
}

#[test]
fn the_arbiter_is_the_lowest_common_superior_and_no_party() {
    let world = World::new();
    assert_eq!(world.routes.common_superior(&[STATION, COMMITTEE], world.now), Some(STREET_OFFICE));
    assert_eq!(world.routes.common_superior(&[STREET_OFFICE, URBAN], world.now), Some(GOVERNMENT));
    assert_eq!(world.routes.common_superior(&[STREET_OFFICE, STATION], world.now), Some(GOVERNMENT));
    assert_eq!(world.routes.common_superior(&[GOVERNMENT, URBAN], world.now), None);
}

#[test]
fn an_item_never_promises_more_than_the_law_allows() {
    let world = World::new();
    let check = |item: &ServiceItem| item.validate(&world.rules.calendar, &world.rules.profile, world.now);
    let good = item("a", "urban");
    assert_eq!(check(&good), Ok(()));
    let field = |item: &ServiceItem| match check(item) {
        Err(DomainError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let limit = |unit, n| calendar::Limit::new(unit, n);
    let longer = ServiceItem { promised_limit: limit(calendar::TimeUnit::CalDay, 40), ..good.clone() };
    assert_eq!(field(&longer), "promised_limit");
    assert_eq!(field(&ServiceItem { lines: vec![], ..good.clone() }), "lines");
    assert_eq!(field(&ServiceItem { self_solvable: true, ..good.clone() }), "society_chain");
    assert_eq!(field(&ServiceItem { code: String::new(), ..good }), "code");
}

/// The cost of a decision does not grow with the lists: 100 times the entries of other places and items.
#[test]
fn a_decision_costs_the_same_with_a_hundred_thousand_entries() {
    let world_of = |entries: usize| {
        let mut grown = parts();
        for number in 0..entries {
            let holder = OrgId(Uuid::from_u128(0x9_0000 + (number % 1000) as u128));
            let code = format!("item-{}", number % 60);
            grown.entries.push(entry(&format!("r-{number}"), &code, holder, ListPart::Lead));
        }
        for number in 0..1000_u128 {
            let id = UnitId(Uuid::from_u128(0x8_0000 + number));
            grown.units.push(UnitNode { id, kind: UnitKind::Street, path: Arc::from([CITY, DISTRICT, id]) });
            grown.orgs.push(OrgNode {
                id: OrgId(Uuid::from_u128(0x9_0000 + number)),
                kind: OrgKind::StreetOffice,
                unit: id,
                line: None,
                valid_from: at("2020-01-01T00:00:00"),
                valid_to: None,
            });
        }
        grown.items.extend((0..60).map(|number| item(&format!("item-{number}"), "urban")));
        World::of(grown)
    };
    let cost = |world: &World| {
        let query = query(world, "street_light", &PLACE);
        let start = Instant::now();
        for _ in 0..50 {
            std::hint::black_box(world.routes.route(std::hint::black_box(&query)));
        }
        start.elapsed() / 50
    };
    let (few, many) = (world_of(1_000), world_of(100_000));
    assert_eq!(lead(&many.routes.route(&query(&many, "street_light", &PLACE))), STREET_OFFICE);
    // By turns, so that a machine that changes its pace meanwhile is no cost.
    let rounds: Vec<_> = (0..40).map(|_| (cost(&few), cost(&many))).collect();
    let few = rounds.iter().map(|round| round.0).min().unwrap();
    let many = rounds.iter().map(|round| round.1).min().unwrap();
    println!("one decision: {few:?} with 1,000 entries, {many:?} with 100,000 (unoptimised build)");
    assert!(many < few * 4, "{few:?} → {many:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// A-1 over random lists and edges: the mode is the kind of the edge, and nobody is ordered who may refuse.
    #[test]
    fn the_mode_of_a_choice_is_the_kind_of_an_edge(
        entries in prop::collection::vec((0_usize..10, 0_usize..5), 0..12),
        dropped in prop::collection::vec(any::<bool>(), 9),
        excluded in prop::sample::subsequence(ALL_ORGS.to_vec(), 0..4),
        depth in 1_usize..=6,
        may_offer in any::<bool>(),
        unclear in any::<bool>(),
        department_item in any::<bool>(),
        first_receiver in prop::sample::select(vec![STATION, STREET_OFFICE, HOUSING]),
    ) {
        let mut random = parts();
        // Of the second one nobody is listed to lead, whatever the lists say of it otherwise.
        let code = if unclear { "tangled_cables" } else { "shopping_help" };
        random.items.iter_mut().filter(|item| item.code == code).for_each(|item| item.department_item = department_item);
        random.entries = entries
            .iter()
            .enumerate()
            .map(|(number, (org, part))| entry(&format!("r-{number}"), code, ALL_ORGS[*org], ListPart::ALL[*part]))
            .collect();
        let mut keep = dropped.iter().map(|dropped| !dropped);
        random.edges.retain(|_| keep.next().unwrap_or(true));
        let world = World::of(random);
        let query = RouteQuery { excluded: &excluded, may_offer, first_receiver, ..query(&world, code, &PLACE[..depth]) };
        let line = query.item.and_then(ServiceItem::line);
        let outcome = world.routes.route(&query);
        let chosen = outcome.lead.iter().chain(&outcome.assists).chain(&outcome.partner);
        for choice in chosen {
            prop_assert!(!excluded.contains(&choice.org));
            if choice.sender == choice.org {
                prop_assert_eq!(Some(choice.org), Some(GOVERNMENT));
                continue;
            }
            let edge = world.routes.edge(choice.sender, choice.org, line, world.now);
            prop_assert_eq!(edge.map(EdgeKind::mode), Some(choice.mode));
            let society = world.routes.org(choice.org).unwrap().kind.is_society();
            prop_assert!(!(society && choice.mode == DispatchMode::Order));
        }
        let listed = |own: OrgId, as_part: ListPart| {
            entries.iter().any(|(org, part)| ALL_ORGS[*org] == own && ListPart::ALL[*part] == as_part)
        };
        if let Some(lead) = &outcome.lead {
            prop_assert!(!lead.is_invited(), "a partner is offered it");
            let kind = world.routes.org(lead.org).unwrap().kind;
            prop_assert!(!kind.is_community_level() || listed(lead.org, ListPart::StatutoryDuty));
            prop_assert!(!listed(lead.org, ListPart::Negative));
            let low = kind.is_community_level() || kind == OrgKind::StreetOffice;
            prop_assert!(!(department_item && low), "nothing was transferred");
        }
        if let Some(partner) = &outcome.partner {
            prop_assert!(!listed(partner.org, ListPart::Negative), "who takes it up leads");
        }
        let no_last_resort = excluded.contains(&GOVERNMENT) || listed(GOVERNMENT, ListPart::Negative);
        prop_assert!(outcome.lead.is_some() || outcome.partner.is_some() || no_last_resort);
        prop_assert!(!outcome.reasons.is_empty());
    }
}
