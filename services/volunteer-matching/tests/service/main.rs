//! The service alone, over real gRPC and a real database.

mod bad_input;
mod lists;
mod offers;
mod settled;
mod stepping_back;
mod support;
mod volunteers;
