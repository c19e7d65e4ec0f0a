//! Staffing alone: real gRPC, a real database, events delivered by hand.

mod calendar;
mod commands;
mod crew;
mod duty;
mod duty_vacancies;
mod events;
mod lists;
mod rework;
mod together;
mod workforce;
mod world;
