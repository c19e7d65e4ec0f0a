//! Identity alone: real gRPC and a real database.

mod approvers;
mod bad_input;
mod duty;
mod ended_units;
mod grants;
mod people;
mod seed;
mod sign_in;
mod tags;
mod topology;
mod world;
