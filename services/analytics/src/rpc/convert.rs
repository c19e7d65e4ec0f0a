//! Domain values to messages.

use chassis::{Timestamp, clock::to_proto};
use proto::analytics::v1::{Count, IndicatorDefinition, IndicatorValue};
use uuid::Uuid;

use super::period::Period;
use crate::domain::{
    indicator::{Catalogue, Definition},
    value::Totals,
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
    pub fn value(&self, definition: &Definition, unit_id: Uuid, totals: &Totals) -> IndicatorValue {
        let value = Catalogue::builtin().evaluate(definition, totals);
        IndicatorValue {
            code: definition.code.clone(),
            version: definition.version,
            unit_id: unit_id.to_string(),
            start_date: self.period.start.to_string(),
            end_date: self.period.end.to_string(),
            numerator: value.numerator,
            denominator: value.denominator,
            value: value.value,
            small_sample: value.small_sample,
            watermark: self.watermark.map(to_proto),
            deferred: value.deferred,
        }
    }
}

/// A number by its key.
pub fn count(key: impl Into<String>, count: i64) -> Count {
    Count { key: key.into(), count }
}
