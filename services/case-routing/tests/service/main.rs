//! The service alone, over real gRPC and a real database; events of the others are delivered by hand.

mod anonymous;
mod application;
mod bad_input;
mod calendar;
mod catalogue;
mod classify;
mod defects;
mod disputes;
mod duty;
mod exchange;
mod exchange_delivery;
mod flow;
mod hotspots;
mod imports;
mod joined;
mod lists;
mod mediation;
mod news;
mod patrol;
mod reach;
mod remarks;
mod routing;
mod search;
mod support;
mod timers;
mod whistles;
