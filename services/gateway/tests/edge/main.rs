//! The edge alone: real HTTP in front, services that answer as the tests say behind.

mod arrivals;
mod browser;
mod canned;
mod case_live;
mod fakes;
mod inputs;
mod pages;
mod papers;
mod papers_pages;
mod rest;
#[path = "../../../../tests/src/webdriver.rs"]
mod webdriver;
