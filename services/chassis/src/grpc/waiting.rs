//! How long a handler may wait for something to happen, so that it answers before its call is cut off.

use std::time::Duration;

/// The time that a call has, given to those whose policy says that they wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted(pub Duration);

/// How long the handler of a request may wait: four fifths of what the call has, by the caller's deadline or the service's
/// own limit. Nothing where the policy of the RPC does not say that it `waits`.
pub fn longest_wait<T>(request: &tonic::Request<T>) -> Duration {
    request.extensions().get::<Granted>().map_or(Duration::ZERO, |granted| granted.0 * 4 / 5)
}
