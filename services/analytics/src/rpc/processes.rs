//! `ProcessService`: process versions, and how two sides compare.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chassis::{
    Clock, Context, Error, Result, RpcResult,
    auth::Caller,
    clock::to_proto,
    db::{Db, Tx},
    page, topology,
    topology::{Topology, Unit, UnitKind},
};
use chrono::{Days, NaiveDate};
use proto::analytics::v1::{
    CompareProcessesRequest, CompareProcessesResponse, ListProcessVersionsRequest,
    ListProcessVersionsResponse, ModeFigures, ProcessComparison, ProcessFigures, ProcessSide, ProcessVersion,
    Share, StateTime, process_service_server::ProcessService,
};
use tonic::{Request, Response, async_trait};
use uuid::Uuid;

use super::{
    convert::Place,
    period::Period,
    reach::{self, Reached},
};
use crate::{
    domain::{
        process::Measure,
        process_figures::{self as figures, Comparison, Row, Side, Sums},
    },
    mergers::Successors,
    store::{
        processes::{self as store, Seen, Wanted},
        query,
    },
};

/// Most units of a side.
const UNITS: usize = 100;
/// Days of a period that names no start.
const SIDE_DAYS: u64 = 90;
/// Fewer, because a list is made of every row of its days, and there are hardly fewer rows than cases.
const LIST_DAYS: u64 = 30;

/// Serves `jianghan.analytics.v1.ProcessService`.
pub struct Processes {
    db: Db,
    clock: Clock,
    topology: Arc<topology::Shared>,
}

impl Processes {
    /// From the service's context.
    pub fn new(context: &Context) -> Self {
        let (db, clock, topology) = (context.db.clone(), context.clock.clone(), context.topology.clone());
        Self { db, clock, topology }
    }

    /// A period, by default some days up to now.
    fn period(&self, start: &str, end: &str, days: u64) -> Result<Period> {
        let period = Period::parse(start, end, self.clock.now());
        if !start.is_empty() {
            return period;
        }
        // What is wrong with the end is said first.
        let end = Period::parse("2000-01-01", end, self.clock.now())
            .map_or_else(|_| period.as_ref().map(|period| period.end), |period| Ok(period.end));
        let end = match end {
            Ok(end) => end,
            Err(_) => return period,
        };
        let start = end.checked_sub_days(Days::new(days)).unwrap_or(NaiveDate::MIN);
        Period::parse(&start.to_string(), &end.to_string(), self.clock.now())
    }

    /// What a side asks for, of which days: one question per unit, because the lines that may be counted can differ.
    fn wanted(
        &self,
        caller: &Caller,
        topology: &Topology,
        name: &str,
        side: &ProcessSide,
        item: Option<&String>,
    ) -> Result<(Span, Vec<Wanted>)> {
        let inside = |error: Error| match error {
            Error::Invalid { field, message } => Error::invalid(format!("{name}.{field}"), message),
            other => other,
        };
        let process = process("process_version", &side.process_version).map_err(inside)?;
        let period = self.period(&side.start_date, &side.end_date, SIDE_DAYS).map_err(inside)?;
        if side.unit_ids.len() > UNITS {
            return Err(Error::invalid(format!("{name}.unit_ids"), format!("are more than {UNITS}")));
        }
        let reached: Vec<Reached> = if side.unit_ids.is_empty() {
            vec![reach::home(caller, topology)?]
        } else {
            let each = side.unit_ids.iter().enumerate();
            each.map(|(n, id)| reach::unit(caller, topology, &format!("{name}.unit_ids[{n}]"), id))
                .collect::<Result<_>>()?
        };
        let successors = Successors::of(topology);
        let made_over = |reached: &Reached| Place::new(&reached.unit, &successors).is_rebased(period.start);
        let span = Span { period, rebased: reached.iter().any(made_over) };
        let mut taken = BTreeSet::new();
        let wanted = reached.iter().map(|reached| {
            let mut units = reached.selection(topology, None).units;
            // A unit named beside one above it counts once.
            units.retain(|unit| taken.insert(*unit));
            Wanted {
                units,
                lines: reached.lines.clone(),
                process: process.clone(),
                item_code: item.cloned(),
                start: period.start,
                end: period.end,
            }
        });
        Ok((span, wanted.collect()))
    }
}

/// The days of a side.
#[derive(Clone, Copy)]
struct Span {
    period: Period,
    /// A unit that the side names was made of others since they began, or was merged.
    rebased: bool,
}

impl Span {
    /// Whether a row is made over a merger: of what was asked for, or of the street that it is about.
    fn rebases(&self, row: &Row, topology: &Topology, successors: &Successors) -> bool {
        let street = row.street.and_then(|street| topology.unit(street));
        let made_over = |street: Arc<Unit>| Place::new(&street, successors).is_rebased(self.period.start);
        self.rebased || street.is_some_and(made_over)
    }
}

#[async_trait]
impl ProcessService for Processes {
    async fn list_process_versions(
        &self,
        request: Request<ListProcessVersionsRequest>,
    ) -> RpcResult<ListProcessVersionsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let after: Option<VersionKey> = page::decode(&request.page_token)?;
        let period = self.period(&request.start_date, &request.end_date, LIST_DAYS)?;
        let topology = self.topology.load();
        let reached = match request.unit_id.as_str() {
            "" => reach::home(&caller, &topology)?,
            id => reach::unit(&caller, &topology, "unit_id", id)?,
        };
        let wanted = Wanted {
            units: reached.selection(&topology, None).units,
            lines: reached.lines,
            process: None,
            item_code: None,
            start: period.start,
            end: period.end,
        };
        let mut conn = self.db.conn().await?;
        let seen = self
            .db
            .transaction_on(&mut conn, async move |tx: &mut Tx<'_>| {
                query::snapshot(tx.conn).await?;
                store::versions(tx.conn, &wanted).await
            })
            .await?;
        let mut versions = listed(&topology, &seen);
        versions.retain(|(key, _)| after.as_ref().is_none_or(|after| key < after));
        let next_page_token = page::cut(&mut versions, size, |(key, _)| key.clone());
        let versions = versions.into_iter().map(|(_, version)| version).collect();
        Ok(Response::new(ListProcessVersionsResponse { versions, next_page_token }))
    }

    async fn compare_processes(
        &self,
        request: Request<CompareProcessesRequest>,
    ) -> RpcResult<CompareProcessesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 200, 500)?;
        let after: Option<(Option<String>, Option<Uuid>)> = page::decode(&request.page_token)?;
        let after = after.map(|(item, street)| Row { item, street });
        if request.item_code.len() > 128 || request.item_code.contains('\0') {
            return Err(Error::invalid("item_code", "is longer than 128 bytes or holds a NUL").into());
        }
        let item = Some(request.item_code).filter(|code| !code.is_empty());
        let topology = self.topology.load();
        let (base, other) = (request.base.unwrap_or_default(), request.other.unwrap_or_default());
        let (base_span, base) = self.wanted(&caller, &topology, "base", &base, item.as_ref())?;
        let (other_span, other) = self.wanted(&caller, &topology, "other", &other, item.as_ref())?;
        let mut conn = self.db.conn().await?;
        let (base, other, watermark) = self
            .db
            .transaction_on(&mut conn, async move |tx: &mut Tx<'_>| {
                query::snapshot(tx.conn).await?;
                let (mut one, mut two) = (Sums::new(), Sums::new());
                for (sums, wanted) in [(&mut one, &base), (&mut two, &other)] {
                    for wanted in wanted {
                        sums.extend(store::sums(tx.conn, wanted).await?);
                    }
                }
                Ok((one, two, query::consumption(tx.conn).await?.watermark))
            })
            .await?;
        let (overall, mut rows) = figures::compare(&base, &other, |unit| street(&topology, unit));
        rows.retain(|(row, _)| after.as_ref().is_none_or(|after| row.place() > after.place()));
        let next_page_token = page::cut(&mut rows, size, |(row, _)| (row.item.clone(), row.street));
        let successors = Successors::of(&topology);
        let told = |row: &Row, both: &Comparison| {
            let rebased = [base_span, other_span].map(|span| span.rebases(row, &topology, &successors));
            comparison(row, both, rebased)
        };
        Ok(Response::new(CompareProcessesResponse {
            overall: Some(told(&Row::default(), &overall)),
            rows: rows.iter().map(|(row, both)| told(row, both)).collect(),
            next_page_token,
            base_start_date: base_span.period.start.to_string(),
            base_end_date: base_span.period.end.to_string(),
            other_start_date: other_span.period.start.to_string(),
            other_end_date: other_span.period.end.to_string(),
            watermark: watermark.map(to_proto),
        }))
    }
}

/// A process version or the beginning of one; `None` for an empty text.
fn process(field: &str, text: &str) -> Result<Option<String>> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if text.len() > 128 || !text.chars().all(plain) || text.starts_with('.') || text.ends_with('.') {
        return Err(Error::invalid(field, "is not a process version such as catalogue-1.list-2"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// By what versions are listed: the first day, the version of the list, and all of it.
type VersionKey = (Option<NaiveDate>, i32, String);

/// Versions, the latest first.
fn listed(topology: &Topology, seen: &[Seen]) -> Vec<(VersionKey, ProcessVersion)> {
    let mut by_version: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    seen.iter().for_each(|one| by_version.entry(&one.process_version).or_default().push(one));
    let mut versions: Vec<(VersionKey, ProcessVersion)> = by_version
        .into_iter()
        .map(|(version, seen)| {
            let first = seen.iter().filter_map(|one| one.first_day).min();
            let last = seen.iter().filter_map(|one| one.last_day).max();
            let decided = seen.iter().filter(|one| one.decided > 0);
            let streets: BTreeSet<Uuid> = decided.filter_map(|one| street(topology, one.unit_id)).collect();
            let part = |prefix: &str| {
                let mut parts = version.split('.');
                parts.find_map(|part| part.strip_prefix(prefix)).unwrap_or_default().to_owned()
            };
            let text = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
            let told = ProcessVersion {
                process_version: version.to_owned(),
                catalogue_version: part("catalogue-").parse().unwrap_or_default(),
                list_version: part("list-").parse().unwrap_or_default(),
                sla_version: part("sla-"),
                rules_version: part("rules-"),
                first_date: text(first),
                last_date: text(last),
                decided: seen.iter().map(|one| one.decided).sum(),
                closed: seen.iter().map(|one| one.closed).sum(),
                street_unit_ids: streets.iter().map(Uuid::to_string).collect(),
            };
            ((first, told.list_version, version.to_owned()), told)
        })
        .collect();
    versions.sort_by(|(a, _), (b, _)| b.cmp(a));
    versions
}

/// The street in which the matters of a unit go on.
fn street(topology: &Topology, unit: Uuid) -> Option<Uuid> {
    let unit = topology.goes_on_at(unit);
    topology.ancestor(unit, UnitKind::Street).map(|street| street.id)
}

fn comparison(row: &Row, both: &Comparison, [base, other]: [bool; 2]) -> ProcessComparison {
    let (note_zh, note_en) = both.note();
    ProcessComparison {
        item_code: row.item.clone().unwrap_or_default(),
        street_unit_id: row.street.map(|street| street.to_string()).unwrap_or_default(),
        base: Some(side(&both.base, base)),
        other: Some(side(&both.other, other)),
        note_zh: note_zh.to_owned(),
        note_en: note_en.to_owned(),
    }
}

fn side(side: &Side, rebased: bool) -> ProcessFigures {
    use Measure::{Contacts, Dispatches, Objections, Returns, Steps, Supplements};
    let share = |share: figures::Share| {
        Some(Share { numerator: share.numerator, denominator: share.denominator, value: share.value })
    };
    let times = side.state_times().into_iter();
    let modes = side.modes().into_iter();
    ProcessFigures {
        cases: side.cases(),
        steps: side.per_case(&[Steps]),
        hand_overs: side.per_case(&[Dispatches, Objections, Returns]),
        dispatches: side.per_case(&[Dispatches]),
        objections: side.per_case(&[Objections]),
        returns: side.per_case(&[Returns]),
        touch_points: side.per_case(&[Supplements, Contacts]),
        supplements: side.per_case(&[Supplements]),
        contacts: side.per_case(&[Contacts]),
        state_times: times.map(|(state, seconds_per_case)| StateTime { state, seconds_per_case }).collect(),
        on_time: share(side.on_time()),
        rework: share(side.rework()),
        one_time: share(side.one_time()),
        delivery_modes: modes
            .map(|mode| ModeFigures {
                delivery_mode: mode.mode,
                cases: mode.cases,
                minutes_per_case: mode.minutes_per_case,
                cases_with_minutes: mode.with_minutes,
            })
            .collect(),
        small_sample: side.is_small(),
        rebased,
    }
}
