//! The edge alone: real HTTP in front, services that answer as the tests say behind.

mod fakes;
mod inputs;
mod rest;
