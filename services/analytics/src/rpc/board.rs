//! The board: how things stand now, what came in and went out in the period, and the rates, for a unit and each of
//! its streets. Everything is read in one snapshot, so that equal revisions mean equal boards, and what was counted for one is kept
//! for as long as it is right: many look at the same board every second.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use chassis::{
    Result, Timestamp,
    auth::Caller,
    clock::to_proto,
    db::Tx,
    topology::{Topology, Unit, UnitKind},
};
use chrono::NaiveDate;
use proto::analytics::v1::{Count, GetBoardRequest, GetBoardResponse, StreetSummary};
use proto::case_routing::v1::DeliveryMode;
use uuid::Uuid;

use super::{
    Indicators,
    convert::{Frame, Place, count},
    period::Period,
    reach::{self, Reached},
};
use crate::{
    domain::{
        Counter, Counters,
        delta::{code_counter, mode_counter},
        indicator::Catalogue,
        value::Totals,
        vocabulary,
    },
    mergers::Successors,
    store::query::{self, Consumption, Selection},
};

/// Rates shown for each street.
const ON_TIME: &str = "I-07";
const SATISFACTION: &str = "I-18";

/// What is read for a board.
struct Read {
    consumption: Consumption,
    sums: HashMap<Uuid, Counters>,
    states: Vec<(Uuid, i16, i64)>,
    overdue: HashMap<Uuid, i64>,
    until: Timestamp,
}

/// What a board is about: the part of a unit that somebody reaches, and the days.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    unit_id: Uuid,
    lines: Option<Vec<String>>,
    start: NaiveDate,
    end: NaiveDate,
}

/// What was counted for a board.
pub(super) struct Counted {
    consumption: Consumption,
    all: Tally,
    by_street: HashMap<Uuid, Tally>,
    /// The units that it was counted by.
    topology: Weak<Topology>,
    /// Domain time then, and up to when nothing becomes late.
    at: Timestamp,
    until: Timestamp,
}

impl Counted {
    /// Whether it is right if nothing more was counted.
    fn holds(&self, topology: &Arc<Topology>, now: Timestamp) -> bool {
        self.topology.as_ptr() == Arc::as_ptr(topology) && now <= self.until
    }
}

/// What is counted for a unit and everything below it.
#[derive(Default)]
struct Tally {
    totals: Totals,
    open: i64,
    overdue: i64,
    states: BTreeMap<i16, i64>,
}

impl Indicators {
    pub(super) async fn board(&self, caller: &Caller, request: GetBoardRequest) -> Result<GetBoardResponse> {
        let now = self.clock.now();
        let period = Period::parse(&request.start_date, &request.end_date, now)?;
        let topology = self.topology.load();
        let reached = match request.unit_id.as_str() {
            "" => reach::home(caller, &topology)?,
            id => reach::unit(caller, &topology, "unit_id", id)?,
        };
        let asked = Asked {
            unit_id: reached.unit.id,
            lines: reached.lines.clone(),
            start: period.start,
            end: period.end,
        };
        let holds = |counted: &Counted| counted.holds(&topology, now);
        let read = self.counted(&topology, &reached, period, now);
        let counted = self.boards.get(asked, holds, self.revision(), read).await?;
        let Counted { consumption, all, by_street, .. } = &*counted;
        let now = now.max(counted.at);

        let streets = reach::below(&topology, &reached);
        let frame = Frame { period, watermark: consumption.watermark };
        let catalogue = Catalogue::builtin();
        let successors = Successors::of(&topology);
        let rate = |code: &str, unit: &Unit, tally: &Tally| {
            catalogue.get(code).map(|d| frame.value(d, Place::new(unit, &successors), &tally.totals))
        };
        let place = Place::new(&reached.unit, &successors);
        let counters = &all.totals.period;
        Ok(GetBoardResponse {
            by_state: all.states.iter().map(|(state, n)| count(vocabulary::state_name(*state), *n)).collect(),
            by_delivery_mode: by_delivery_mode(counters),
            by_closed_code: by_closed_code(counters),
            streets: streets
                .iter()
                .filter_map(|street| by_street.get(&street.id).map(|tally| (street, tally)))
                .filter(|(street, tally)| street.in_force(now) || !tally.is_empty())
                .map(|(street, tally)| StreetSummary {
                    unit_id: street.id.to_string(),
                    code: street.code.clone(),
                    name_zh: street.name_zh.clone(),
                    name_en: street.name_en.clone(),
                    registered: tally.totals.period[Counter::Registered],
                    open: tally.open,
                    overdue: tally.overdue,
                    closed: tally.totals.period[Counter::Closed],
                    on_time_rate: rate(ON_TIME, street, tally),
                    satisfaction_rate: rate(SATISFACTION, street, tally),
                })
                .collect(),
            registered: counters[Counter::Registered],
            open: all.open,
            overdue: all.overdue,
            closed: counters[Counter::Closed],
            rates: catalogue
                .definitions()
                .iter()
                .filter(|d| d.board)
                .map(|d| frame.value(d, place, &all.totals))
                .collect(),
            domain_time: Some(to_proto(now)),
            watermark: consumption.watermark.map(to_proto),
            revision: consumption.revision,
            start_date: period.start.to_string(),
            end_date: period.end.to_string(),
            unit_id: reached.unit.id.to_string(),
            unit_name_zh: reached.unit.name_zh.clone(),
            unit_name_en: reached.unit.name_en.clone(),
            of_streets: !streets.is_empty() && streets.iter().all(|unit| unit.kind == UnitKind::Street),
        })
    }

    /// What has been counted so far.
    async fn revision(&self) -> Result<i64> {
        let mut conn = self.db.conn().await?;
        Ok(query::consumption(&mut conn).await?.revision)
    }

    /// Counts for a board, apart from the connections on which events are taken in; with the revision.
    async fn counted(
        &self,
        topology: &Arc<Topology>,
        reached: &Reached,
        period: Period,
        now: Timestamp,
    ) -> Result<(i64, Counted)> {
        let selection = reached.selection(topology, None);
        let mut conn = self.db.conn().await?;
        let work = async move |tx: &mut Tx<'_>| read(tx, &selection, period, now).await;
        let read = self.db.transaction_on(&mut conn, work).await?;
        drop(conn);

        let streets = reach::below(topology, reached);
        let mut all = Tally::default();
        let mut by_street: HashMap<Uuid, Tally> = streets.iter().map(|s| (s.id, Tally::default())).collect();
        // A leaf counts for the asked unit and for the street on its path, or on that of what it became part of.
        read.count(|leaf, add| {
            add(&mut all);
            let listed = |unit: Arc<Unit>| unit.path.iter().find(|id| by_street.contains_key(*id)).copied();
            let became: Vec<Arc<Unit>> = topology.became(leaf).collect();
            let street = became.into_iter().rev().find_map(listed);
            if let Some(tally) = street.and_then(|id| by_street.get_mut(&id)) {
                add(tally);
            }
        });
        let Read { consumption, until, .. } = read;
        let topology = Arc::downgrade(topology);
        Ok((consumption.revision, Counted { consumption, all, by_street, topology, at: now, until }))
    }
}

async fn read(tx: &mut Tx<'_>, selection: &Selection, period: Period, now: Timestamp) -> Result<Read> {
    query::snapshot(tx.conn).await?;
    Ok(Read {
        consumption: query::consumption(tx.conn).await?,
        sums: query::sums(tx.conn, selection, period.start, period.end).await?,
        states: query::states(tx.conn, selection).await?,
        overdue: query::overdue(tx.conn, selection, now).await?,
        until: query::overdue_stands_until(tx.conn, selection, now).await?,
    })
}

impl Read {
    /// Hands each leaf's share to `place`, which applies it to every tally the leaf belongs to.
    fn count(&self, mut place: impl FnMut(Uuid, &dyn Fn(&mut Tally))) {
        for (leaf, counters) in &self.sums {
            place(*leaf, &|tally| tally.totals.period += counters);
        }
        for (leaf, state, n) in &self.states {
            let open = if vocabulary::ended(vocabulary::state(*state)) { 0 } else { *n };
            place(*leaf, &|tally| {
                tally.open += open;
                *tally.states.entry(*state).or_default() += n;
            });
        }
        for (leaf, n) in &self.overdue {
            place(*leaf, &|tally| tally.overdue += n);
        }
    }
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.states.is_empty() && self.totals.period.is_zero()
    }
}

fn by_delivery_mode(counters: &Counters) -> Vec<Count> {
    let modes = (1..).map_while(|n| DeliveryMode::try_from(i32::from(n)).ok().and(Some(n)));
    modes
        .filter_map(|n: i16| mode_counter(n).map(|c| count(vocabulary::delivery_mode_name(n), counters[c])))
        .collect()
}

fn by_closed_code(counters: &Counters) -> Vec<Count> {
    (1_i16..=11)
        .filter_map(|n| code_counter(n).map(|c| (n, counters[c])))
        .filter(|(_, number)| *number != 0)
        .map(|(n, number)| count(vocabulary::closed_code_name(n), number))
        .collect()
}
