//! The service's own settings: `[services.case-routing]`.

use serde::Deserialize;

use crate::webhook::WebhookConfig;

/// What can be set besides what every service has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Real time between two looks for due timers, in milliseconds. A jump of domain time is noticed at once.
    pub sweep_ms: u64,
    /// Real time between two counts of the open work of each organisation, in milliseconds.
    pub load_ms: u64,
    /// Public key, base64, whose signature makes a yearly notice or an order about working hours count. Empty: none is taken.
    pub calendar_key: String,
    /// Days before a case within which its duplicates are looked for.
    pub duplicate_days: u16,
    /// Code of the organisation that rules and reviews where nobody stands above the parties. Empty: the one of last resort.
    pub joint_body: String,
    /// Probability from which a suggested item triages a case that came without one, above 0 and at most 1. Unset: a human
    /// always does.
    pub classify_threshold: Option<f64>,
    /// Posting to other systems.
    pub webhook: WebhookConfig,
    /// How many of a hundred findings that were put right on the spot are drawn for a check by another organisation.
    pub sample_percent: u8,
    /// Calendar days in which the parties of a mediation come to an agreement; afterwards the lead need not wait for them.
    pub mediation_days: u16,
    /// Calendar days after which the mediator is to ask after an agreement whose parties set no day for it to be performed.
    pub mediation_follow_up_days: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sweep_ms: 1_000,
            load_ms: 10_000,
            calendar_key: String::new(),
            duplicate_days: 90,
            joint_body: String::new(),
            classify_threshold: None,
            webhook: WebhookConfig::default(),
            sample_percent: 20,
            mediation_days: 30,
            mediation_follow_up_days: 30,
        }
    }
}
