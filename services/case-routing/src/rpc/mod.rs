//! The service's RPCs: what came in is parsed and every `Invalid` arises here; rules live in the domain, SQL in the
//! store.

mod application_convert;
mod application_desk;
mod applications;
mod arbitration;
mod calendar;
mod cases;
mod catalogue;
mod convert;
mod desk;
mod duplicates;
mod duty;
mod duty_forms;
mod findings;
mod founding;
mod hotspots;
mod intake;
mod lists;
mod mediation;
mod mediation_desk;
mod mediation_view;
mod notices;
mod parse;
mod parts;
mod patrols;
mod precedents;
mod register;
mod registers;
mod route;
mod supervision;
mod tasks;
mod trial;
mod verification;

pub use self::{
    application_desk::Applications, calendar::Calendars, cases::Cases, catalogue::Catalogue, desk::Desk,
    duty::DutyRpc, hotspots::Hotspots, intake::Intake, lists::Responsibilities, mediation_desk::Mediations,
    patrols::Patrols, tasks::Tasks, verification::Verifications,
};
