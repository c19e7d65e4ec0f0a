//! The service's RPCs: what came in is parsed and every `Invalid` arises here; rules live in the domain, SQL in the
//! store.

mod application_convert;
mod application_desk;
mod applications;
mod arbitration;
mod calendar;
mod cases;
mod catalogue;
mod catalogue_versions;
mod convert;
mod desk;
mod duplicates;
mod duty;
mod duty_forms;
mod intake;
mod list_files;
mod lists;
mod mediation;
mod mediation_desk;
mod mediation_view;
mod notices;
mod parse;
mod parts;
mod precedents;
mod register;
mod route;
mod supervision;
mod table_files;
mod tasks;
mod trial;
mod verification;

pub use self::{
    application_desk::Applications, calendar::Calendars, cases::Cases, catalogue::Catalogue,
    catalogue_versions::CatalogueVersions, desk::Desk, duty::DutyRpc, intake::Intake,
    lists::Responsibilities, mediation_desk::Mediations, tasks::Tasks, verification::Verifications,
};
