//! Named places at which a test may end the process as `kill -9` would. Inert unless `JIANGHAN_CRASH_AT` is
//! `<seam>:<nth>`: the nth passage through that seam aborts. It aborts rather than panics, because unwinding would
//! run clean-up that a killed process never gets.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

struct Plan {
    seam: String,
    left: AtomicU64,
}

static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
    let text = std::env::var("JIANGHAN_CRASH_AT").ok()?;
    let (seam, nth) = text.rsplit_once(':').unwrap_or((&text, "1"));
    let nth = nth.parse().ok().filter(|n| *n > 0)?;
    Some(Plan { seam: seam.to_owned(), left: AtomicU64::new(nth) })
});

/// Every seam, in the order an event passes them.
pub const SEAMS: [&str; 9] = [
    "outbox.after_commit",
    "relay.before_publish",
    "relay.after_publish",
    "relay.after_confirm",
    "relay.after_delete",
    "inbox.after_claim",
    "inbox.before_commit",
    "inbox.after_commit",
    "inbox.after_ack",
];

/// Aborts the process if the plan says so.
pub(crate) fn seam(name: &'static str) {
    debug_assert!(SEAMS.contains(&name), "unknown seam");
    if let Some(plan) = &*PLAN
        && plan.seam == name
        && plan.left.fetch_sub(1, Ordering::AcqRel) == 1
    {
        std::process::abort();
    }
}
