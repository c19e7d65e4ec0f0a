//! Values of indicators for units and a period.

use chassis::{Error, Result, auth::Caller, db::Tx};
use chrono::NaiveDate;
use proto::analytics::v1::{QueryIndicatorsRequest, QueryIndicatorsResponse};

use super::{
    Indicators,
    convert::{Frame, Place},
    period::Period,
    reach::{self, Reached},
};
use crate::{
    domain::{
        Counters, cohort,
        indicator::{Catalogue, Cohort, Definition, Formula},
        value::Totals,
    },
    mergers::Successors,
    store::{
        query::{self, Selection},
        stock,
    },
};

/// Most units and most codes of one question.
const MAX: usize = 100;

impl Indicators {
    pub(super) async fn query(
        &self,
        caller: &Caller,
        request: QueryIndicatorsRequest,
    ) -> Result<QueryIndicatorsResponse> {
        let definitions = definitions(&request.codes)?;
        let period = Period::parse(&request.start_date, &request.end_date, self.clock.now())?;
        if request.item_code.len() > 128 {
            return Err(Error::invalid("item_code", "is longer than 128 bytes"));
        }
        if request.item_code.contains('\0') {
            return Err(Error::invalid("item_code", "holds a NUL"));
        }
        let item = Some(request.item_code).filter(|code| !code.is_empty());
        let topology = self.topology.load();
        let units = units(caller, &topology, &request.unit_ids)?;
        let successors = Successors::of(&topology);
        let asked: Vec<(Place, Selection)> = units
            .iter()
            .map(|reached| {
                let selection = reached.selection(&topology, item.clone());
                (Place::new(&reached.unit, &successors), selection)
            })
            .collect();

        let work = async move |tx: &mut Tx<'_>| {
            query::snapshot(tx.conn).await?;
            let consumption = query::consumption(tx.conn).await?;
            let frame = Frame { period, watermark: consumption.watermark };
            let mut values = Vec::new();
            for (place, selection) in &asked {
                let totals = totals(tx, selection, period, &definitions, consumption.stock_kept).await?;
                values.extend(definitions.iter().map(|d| frame.value(d, *place, &totals)));
            }
            Ok(QueryIndicatorsResponse { values })
        };
        // Apart from the connections on which events are taken in.
        let mut conn = self.db.conn().await?;
        self.db.transaction_on(&mut conn, work).await
    }
}

fn definitions(codes: &[String]) -> Result<Vec<&'static Definition>> {
    let catalogue = Catalogue::builtin();
    if codes.is_empty() {
        return Ok(catalogue.definitions().iter().collect());
    }
    if codes.len() > MAX {
        return Err(Error::invalid("codes", format!("are more than {MAX}")));
    }
    let known = |(n, code): (usize, &String)| {
        catalogue.get(code).ok_or_else(|| Error::invalid(format!("codes[{n}]"), "is no indicator in force"))
    };
    codes.iter().enumerate().map(known).collect()
}

fn units(caller: &Caller, topology: &chassis::topology::Topology, ids: &[String]) -> Result<Vec<Reached>> {
    if ids.is_empty() {
        return Ok(vec![reach::home(caller, topology)?]);
    }
    if ids.len() > MAX {
        return Err(Error::invalid("unit_ids", format!("are more than {MAX}")));
    }
    let reached = |(n, id): (usize, &String)| reach::unit(caller, topology, &format!("unit_ids[{n}]"), id);
    ids.iter().enumerate().map(reached).collect()
}

/// What these definitions need to be counted, and no more.
async fn totals(
    tx: &mut Tx<'_>,
    selection: &Selection,
    period: Period,
    definitions: &[&Definition],
    stock_kept: bool,
) -> Result<Totals> {
    let sum = |sums: std::collections::HashMap<_, Counters>| {
        sums.values().fold(Counters::default(), |mut all, counters| {
            all += counters;
            all
        })
    };
    let mut totals = Totals {
        period: sum(query::sums(tx.conn, selection, period.start, period.end).await?),
        ..Totals::default()
    };
    if definitions.iter().any(|d| d.cohort == Cohort::Stock) {
        let end = period.stock_end();
        totals.until_end = if stock_kept {
            stock::until(tx.conn, selection, end).await?
        } else {
            sum(query::sums(tx.conn, selection, NaiveDate::default(), end).await?)
        };
        totals.last_work_day = end.pred_opt().map_or(0, cohort::work_day_number);
    }
    if definitions.iter().any(|d| matches!(d.formula, Formula::YearChange(..))) {
        let (start, end) = period.year_before();
        totals.year_before = sum(query::sums(tx.conn, selection, start, end).await?);
    }
    if definitions.iter().any(|d| matches!(d.formula, Formula::MeanClock(_) | Formula::Quantile(..))) {
        totals.durations = query::durations(tx.conn, selection, period.start, period.end).await?;
    }
    Ok(totals)
}
