//! The service's own settings: `[services.staffing]` of the configuration file.

use serde::Deserialize;

use crate::domain::terms::OfferTerms;

/// Settings of staffing.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Workers made by grants accept at once.
    pub auto_accept: bool,
    /// Working hours to answer an offer.
    pub offer_work_hours: u16,
    /// Hours around the clock to answer an urgent offer.
    pub urgent_offer_hours: u16,
    /// How often offers that ran out are looked for, in milliseconds of real time; jumps of domain time wake it too.
    pub sweep_ms: u64,
    /// How many offers that ran out are handled in one transaction.
    pub sweep_batch: i64,
}

impl Default for Config {
    fn default() -> Self {
        let OfferTerms { work_hours, urgent_hours } = OfferTerms::default();
        Self {
            auto_accept: false,
            offer_work_hours: work_hours,
            urgent_offer_hours: urgent_hours,
            sweep_ms: 1_000,
            sweep_batch: 200,
        }
    }
}

impl Config {
    /// Time to answer an offer.
    pub fn terms(&self) -> OfferTerms {
        OfferTerms { work_hours: self.offer_work_hours.max(1), urgent_hours: self.urgent_offer_hours.max(1) }
    }
}
