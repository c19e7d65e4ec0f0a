//! `jianghan bench routes`: what one decision of the router costs in process, with a large responsibility list over a
//! district of the seeded shape. No server, no database.

use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use case_routing::{
    domain::{
        DispatchMode, Edge, EdgeKind, Facts, Holder, ListPart, OrgId, OrgKind, OrgNode, ResponsibilityEntry,
        RouteQuery, RoutingTable, ServiceItem, TableParts, Timestamp, UnitId, UnitKind, UnitNode, Urgency,
    },
    seed,
};
use clap::Args as ClapArgs;
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use uuid::Uuid;

use super::{
    marks::{self, Mark},
    report::round,
};
use crate::out;

/// Streets of the district, communities of a street, and what stands below a community.
const STREETS: usize = 13;
const COMMUNITIES: usize = 9;
/// Departments of the district.
const DEPARTMENTS: usize = 24;

/// What a decision may take in the mean, in microseconds.
const MEAN_US: f64 = 10.0;

/// Arguments of `bench routes`.
#[derive(ClapArgs)]
pub struct Args {
    /// Entries of the responsibility list.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rules: usize,
    /// Decisions to measure, after a tenth as many that are not.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..))]
    decisions: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    rules: usize,
    items: usize,
    organisations: usize,
    build_ms: f64,
    decisions: u64,
    mean_ns: f64,
    p50_ns: u64,
    p99_ns: u64,
    /// Organisations that a decision looked at, on average.
    candidates: f64,
    /// Decisions that found a lead.
    led: u64,
    marks: Vec<Mark>,
}

/// Measures and prints; exits 1 when the mark is missed, or a decision found nobody, which the made-up list never means.
pub fn run(args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    let district = District::new(args.rules)?;
    let (codes, places, organisations) = (district.codes, district.places, district.parts.orgs.len());
    let (at, receiver) = (district.at, district.receiver);
    let table = RoutingTable::new(district.parts);
    let build_ms = began.elapsed().as_secs_f64() * 1000.0;

    let mut rng = StdRng::seed_from_u64(1);
    let mut times = Histogram::<u64>::new(3)?;
    let (mut candidates, mut led) = (0_usize, 0);
    for number in 0..args.decisions + args.decisions / 10 {
        let item = table.item(&codes[rng.random_range(0..codes.len())], at).map(Arc::as_ref);
        let query = RouteQuery {
            item,
            place: &places[rng.random_range(0..places.len())],
            urgency: Urgency::Normal,
            first_receiver: receiver,
            complained_of: None,
            excluded: &[],
            may_offer: false,
            tried: &[],
            facts: Facts::unknown(),
            kept: None,
            at,
        };
        let began = Instant::now();
        let outcome = std::hint::black_box(table.route(std::hint::black_box(&query)));
        let took = began.elapsed();
        if number >= args.decisions / 10 {
            times.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))?;
            candidates += outcome.candidates.len();
            let ordered = outcome.lead.is_some_and(|lead| lead.mode != DispatchMode::Invitation);
            led += u64::from(ordered);
        }
    }
    let report = Report {
        rules: args.rules,
        items: codes.len(),
        organisations,
        build_ms,
        decisions: args.decisions,
        mean_ns: times.mean().round(),
        p50_ns: times.value_at_quantile(0.5),
        p99_ns: times.value_at_quantile(0.99),
        candidates: candidates as f64 / args.decisions as f64,
        led,
        marks: vec![Mark::at_most("mean µs", round(times.mean() / 1e3), MEAN_US)],
    };
    if args.json {
        out::json(&report)?;
    } else {
        out::say!(
            "{} rules, {} items, {} organisations; table built in {:.0} ms",
            report.rules,
            report.items,
            report.organisations,
            report.build_ms
        )?;
        out::say!(
            "{} decisions: mean {:.0} ns, p50 {} ns, p99 {} ns; {:.1} candidates each, {} led",
            report.decisions,
            report.mean_ns,
            report.p50_ns,
            report.p99_ns,
            report.candidates,
            report.led
        )?;
        out::text(&marks::lines(&report.marks))?;
    }
    let kept = led == args.decisions && marks::all_met(&report.marks);
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A made-up district and its list.
struct District {
    parts: TableParts,
    codes: Vec<String>,
    places: Vec<Vec<UnitId>>,
    receiver: OrgId,
    at: Timestamp,
}

impl District {
    fn new(rules: usize) -> Result<Self> {
        let from = Timestamp::UNIX_EPOCH;
        let mut drawn = 0_u128;
        let mut fresh = || {
            drawn += 1;
            // Spread as real ids are, so that hashing is not flattered.
            Uuid::from_u128(drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
        };
        let (mut units, mut orgs, mut edges, mut places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (city, district) = (UnitId(fresh()), UnitId(fresh()));
        let root = [city, district];
        units.push(UnitNode { id: city, kind: UnitKind::City, path: root[..1].into() });
        units.push(UnitNode { id: district, kind: UnitKind::District, path: root[..].into() });
        let mut org = |orgs: &mut Vec<OrgNode>, unit, kind, line: Option<String>| {
            let id = OrgId(fresh());
            orgs.push(OrgNode { id, kind, unit, line, valid_from: from, valid_to: None });
            id
        };
        let mut edge = |sender, to, kind| {
            edges.push(Edge { from: sender, to, kind, line: None, valid_from: from, valid_to: None });
        };
        let government = org(&mut orgs, district, OrgKind::Government, None);
        let lines: Vec<String> = (0..DEPARTMENTS).map(|line| format!("line_{line}")).collect();
        for line in &lines {
            let department = org(&mut orgs, district, OrgKind::Department, Some(line.clone()));
            edge(government, department, EdgeKind::Leads);
        }
        let mut ids = 0_u128;
        let mut unit = || {
            ids += 1;
            UnitId(Uuid::from_u128(ids.wrapping_mul(0xD6E8_FEB8_6659_FD93_A3B1_9535_4A39_B70D)))
        };
        for _ in 0..STREETS {
            let street = unit();
            let path = [city, district, street];
            units.push(UnitNode { id: street, kind: UnitKind::Street, path: path[..].into() });
            let office = org(&mut orgs, street, OrgKind::StreetOffice, None);
            edge(government, office, EdgeKind::Leads);
            for _ in 0..COMMUNITIES {
                let community = unit();
                let path = [city, district, street, community];
                units.push(UnitNode { id: community, kind: UnitKind::Community, path: path[..].into() });
                let station = org(&mut orgs, community, OrgKind::ServiceStation, None);
                let committee = org(&mut orgs, community, OrgKind::Committee, None);
                edge(office, station, EdgeKind::Leads);
                edge(office, committee, EdgeKind::Guides);
                let (courtyard, doorway) = (unit(), unit());
                let path = [city, district, street, community, courtyard, doorway];
                units.push(UnitNode { id: courtyard, kind: UnitKind::Courtyard, path: path[..5].into() });
                units.push(UnitNode { id: doorway, kind: UnitKind::Doorway, path: path[..].into() });
                places.push(path.to_vec());
            }
        }
        let parties: Vec<&OrgNode> = orgs.iter().filter(|org| org.kind != OrgKind::Government).collect();
        let model = seed::catalogue().items.iter().find(|item| {
            item.emergency_channel.is_empty() && item.statutory_channel.is_empty() && !item.lead_line_unclear
        });
        let model =
            model.context("the shipped catalogue has no ordinary item")?.service_item(&HashMap::new());
        // Each item has one rule per party, and one more by kind, until the list is as long as it was asked for.
        let count = rules.div_ceil(parties.len() + 1);
        ensure!(count > 0, "a list has at least one rule");
        let mut codes = Vec::with_capacity(count);
        let (mut items, mut entries) = (Vec::with_capacity(count), Vec::with_capacity(rules));
        for number in 0..count {
            let code = format!("BENCH-{number:05}");
            let line = lines[number % lines.len()].clone();
            let mut add = |holder, part| {
                if entries.len() < rules {
                    entries.push(ResponsibilityEntry {
                        rule_id: format!("R-{:06}", entries.len()),
                        item_code: code.clone(),
                        holder,
                        part,
                        mandatory: false,
                        transfer_ref: None,
                        basis_doc: String::new(),
                        condition: None,
                        valid_from: from,
                        valid_to: None,
                    });
                }
            };
            add(Holder::Kind { kind: OrgKind::Department, line: Some(line.clone()) }, ListPart::Lead);
            for party in &parties {
                let part = match party.kind {
                    OrgKind::StreetOffice => ListPart::Lead,
                    OrgKind::ServiceStation if number % 3 == 0 => ListPart::StatutoryDuty,
                    OrgKind::ServiceStation | OrgKind::Committee => ListPart::AssistDuty,
                    _ if party.line.as_ref() == Some(&line) => ListPart::Lead,
                    _ if number % 5 == 0 => ListPart::Assist,
                    _ => ListPart::Negative,
                };
                add(Holder::Org(party.id), part);
            }
            items.push(ServiceItem {
                code: code.clone(),
                version: 1,
                lines: vec![line],
                department_item: false,
                ..model.clone()
            });
            codes.push(code);
        }
        let receiver = orgs.last().map_or(government, |org| org.id);
        let parts = TableParts {
            version: "bench".to_owned(),
            items,
            entries,
            units,
            orgs,
            edges,
            fallback: Some(government),
            ..TableParts::default()
        };
        Ok(Self { parts, codes, places, receiver, at: from + chrono::TimeDelta::days(1) })
    }
}
