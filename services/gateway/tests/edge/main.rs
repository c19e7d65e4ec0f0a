//! The edge alone: real HTTP in front, services that answer as the tests say behind.

mod arrivals;
mod board_live;
mod browser;
mod canned;
mod case_list;
mod case_live;
mod duty_forms;
mod fakes;
mod inputs;
mod names;
mod pages;
mod papers;
mod papers_pages;
mod rest;
mod sessions;
mod steps;
mod visitor;
#[path = "../../../../tests/src/webdriver.rs"]
mod webdriver;
