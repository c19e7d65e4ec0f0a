//! Domain values to messages.

use calendar::instant;
use chassis::{Timestamp, clock::to_proto, topology::Unit};
use chrono::{NaiveDate, NaiveTime};
use proto::analytics::v1::{Count, IndicatorDefinition, IndicatorValue};
use uuid::Uuid;

use super::period::Period;
use crate::{
    domain::{
        indicator::{Catalogue, Definition, Formula},
        value::Totals,
    },
    mergers::Successors,
};

/// A definition as callers see it.
pub fn definition(definition: &Definition) -> IndicatorDefinition {
    let (numerator, denominator) = definition.texts();
    IndicatorDefinition {
        code: definition.code.clone(),
        version: definition.version,
        name_zh: definition.name_zh.clone(),
        name_en: definition.name_en.clone(),
        numerator,
        denominator,
        cohort: definition.cohort.name().to_owned(),
        direction: definition.direction.name().to_owned(),
        profile: definition.profile.clone(),
    }
}

/// The unit that values are of.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    unit_id: Uuid,
    /// Days before were counted on other boundaries.
    rebased_before: Option<Timestamp>,
}

impl Place {
    /// Of a unit, as mergers left it.
    pub fn new(unit: &Unit, successors: &Successors) -> Self {
        Self { unit_id: unit.id, rebased_before: successors.rebased_before(unit) }
    }

    /// Whether figures from a day on are made over a merger.
    pub fn is_rebased(&self, first: NaiveDate) -> bool {
        self.rebased_before.is_some_and(|end| instant(first, NaiveTime::MIN) < end)
    }
}

/// What all values of an answer share.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// The days.
    pub period: Period,
    /// Real time up to which events are counted.
    pub watermark: Option<Timestamp>,
}

impl Frame {
    /// The value of a definition for a unit.
    pub fn value(&self, definition: &Definition, place: Place, totals: &Totals) -> IndicatorValue {
        let value = Catalogue::builtin().evaluate(definition, totals);
        let first = match definition.formula {
            Formula::YearChange(..) => self.period.year_before().0,
            _ => self.period.start,
        };
        IndicatorValue {
            code: definition.code.clone(),
            version: definition.version,
            unit_id: place.unit_id.to_string(),
            start_date: self.period.start.to_string(),
            end_date: self.period.end.to_string(),
            numerator: value.numerator,
            denominator: value.denominator,
            value: value.value,
            small_sample: value.small_sample,
            watermark: self.watermark.map(to_proto),
            deferred: value.deferred,
            rebased: place.is_rebased(first),
        }
    }
}

/// A number by its key.
pub fn count(key: impl Into<String>, count: i64) -> Count {
    Count { key: key.into(), count }
}
