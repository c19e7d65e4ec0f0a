//! The service's RPCs: what came in is parsed and every `Invalid` arises here; rules live in the domain, SQL in the
//! store.

mod application_convert;
mod application_desk;
mod applications;
mod arbitration;
mod benefit_ends;
mod calendar;
mod cases;
mod catalogue;
mod catalogue_versions;
mod classify;
mod convert;
mod desk;
mod discretion;
mod duplicates;
mod duty;
mod duty_arrivals;
mod duty_assessments;
mod duty_forms;
mod duty_founding;
mod duty_refusals;
mod evidence_view;
mod exchange;
mod exchange_files;
mod exchange_forms;
mod exchange_systems;
mod findings;
mod founding;
mod hotspots;
mod hours;
mod imports;
mod intake;
mod joined_words;
mod list_files;
mod list_forms;
mod lists;
mod mediation;
mod mediation_desk;
mod mediation_view;
mod notices;
pub(crate) mod parse;
mod parts;
mod patrols;
mod precedents;
mod register;
mod registers;
mod route;
mod supervision;
mod supplements;
mod table_files;
mod tasks;
mod trial;
mod verification;
mod wait;

pub(crate) use self::register::{TEXT, client_key, window_above};
pub use self::{
    application_desk::Applications, calendar::Calendars, cases::Cases, catalogue::Catalogue,
    catalogue_versions::CatalogueVersions, classify::Classify, desk::Desk, duty::DutyRpc, exchange::Exchange,
    hotspots::Hotspots, imports::Imports, intake::Intake, lists::Responsibilities,
    mediation_desk::Mediations, patrols::Patrols, register::receiver, tasks::Tasks,
    verification::Verifications,
};
