//! The service alone, over real gRPC and a real database.

mod bad_input;
mod offers;
mod support;
mod volunteers;
