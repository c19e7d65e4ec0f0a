//! The service alone, over real gRPC and a real database; events of the others are delivered by hand.

mod anonymous;
mod application;
mod bad_input;
mod calendar;
mod catalogue;
mod defects;
mod disputes;
mod duty;
mod flow;
mod joined;
mod lists;
mod mediation;
mod news;
mod reach;
mod routing;
mod search;
mod support;
mod timers;
mod whistles;
