//! The service's RPCs: what came in is parsed and every `Invalid` arises here; rules live in the domain, SQL in the
//! store.

mod application_convert;
mod application_desk;
mod applications;
mod calendar;
mod cases;
mod catalogue;
mod convert;
mod desk;
mod duplicates;
mod duty;
mod duty_forms;
mod intake;
mod lists;
mod notices;
mod parse;
mod register;
mod route;
mod tasks;
mod trial;
mod verification;

pub use self::{
    application_desk::Applications, calendar::Calendars, cases::Cases, catalogue::Catalogue, desk::Desk,
    duty::DutyRpc, intake::Intake, lists::Responsibilities, tasks::Tasks, verification::Verifications,
};
