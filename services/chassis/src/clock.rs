//! The only place that reads the time or makes ids. Domain time is real time plus a persisted offset that only moves
//! forward (demonstrations and tests); leases, tokens and retries use real time. Instants are cut to microseconds
//! here, because PostgreSQL keeps no more and a value must equal itself after a round trip. A machine's time may be wrong:
//! it is compared with the database server's, and where it is far off nobody decides by it what cannot be taken back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// An instant in UTC, whole microseconds.
pub type Timestamp = DateTime<Utc>;

/// How far the machine's time may be off before nothing is decided by it.
const ASTRAY: TimeDelta = TimeDelta::minutes(1);

/// Domain time and real time. Cheap to clone; clones share the offset.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Microseconds since the epoch of a fixed clock; `None` follows real time.
    fixed: Option<AtomicI64>,
    /// Domain minus real time in microseconds.
    offset: AtomicI64,
    /// Microseconds that real time is ahead of the machine's: none but in tests of machines whose time is wrong.
    error: i64,
    /// Microseconds that real time was ahead of the database server's when they were last compared.
    skew: AtomicI64,
    /// Whether that is too much.
    astray: watch::Sender<bool>,
    /// Tells waiters that domain time has jumped.
    jumped: watch::Sender<u64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// Follows the machine's time, offset zero.
    pub fn system() -> Self {
        Self::with(None, 0, 0)
    }

    /// Domain time stands still at `now` until it is moved by [`advance`](Self::advance) or
    /// [`set_offset`](Self::set_offset). Real time goes on.
    pub fn fixed(now: Timestamp) -> Self {
        Self::with(Some(now.timestamp_micros()), 0, 0)
    }

    /// The same domain time on a machine whose time is ahead of the true one by so much, for tests; it does not share the offset.
    pub fn ahead_by(&self, error: Duration) -> Self {
        let fixed = self.0.fixed.as_ref().map(|at| at.load(Ordering::Acquire));
        let error = i64::try_from(error.as_micros()).unwrap_or(i64::MAX / 4);
        Self::with(fixed, self.0.offset.load(Ordering::Acquire), error)
    }

    fn with(fixed: Option<i64>, offset: i64, error: i64) -> Self {
        Self(Arc::new(Inner {
            fixed: fixed.map(AtomicI64::new),
            offset: AtomicI64::new(offset),
            error,
            skew: AtomicI64::new(0),
            astray: watch::channel(false).0,
            jumped: watch::channel(0).0,
        }))
    }

    /// Domain time.
    pub fn now(&self) -> Timestamp {
        let base = match &self.0.fixed {
            Some(at) => at.load(Ordering::Acquire),
            None => self.real_micros(),
        };
        from_micros(base + self.0.offset.load(Ordering::Acquire))
    }

    /// The machine's time: for leases, tokens and retries.
    pub fn real_now(&self) -> Timestamp {
        from_micros(self.real_micros())
    }

    fn real_micros(&self) -> i64 {
        machine_micros() + self.0.error
    }

    /// How far real time was ahead of the database server's when they were last compared; negative where it was behind.
    pub fn skew(&self) -> TimeDelta {
        TimeDelta::microseconds(self.0.skew.load(Ordering::Acquire))
    }

    /// Whether real time is more than a minute off: what falls due by it, and cannot be undone, has to wait.
    pub fn is_astray(&self) -> bool {
        *self.0.astray.borrow()
    }

    /// Tells when that changes.
    pub(crate) fn astray(&self) -> watch::Receiver<bool> {
        self.0.astray.subscribe()
    }

    /// Real time was found to be ahead of the database server's by so much.
    pub(crate) fn compared(&self, skew: TimeDelta) {
        self.0.skew.store(skew.num_microseconds().unwrap_or(i64::MAX), Ordering::Release);
        let astray = skew.abs() > ASTRAY;
        self.0.astray.send_if_modified(|was| std::mem::replace(was, astray) != astray);
    }

    /// Domain time minus real time; never negative.
    pub fn offset(&self) -> Duration {
        Duration::from_micros(self.0.offset.load(Ordering::Acquire).unsigned_abs())
    }

    /// Moves the offset forward to `offset`; a smaller one changes nothing. Gives the offset in force.
    pub fn set_offset(&self, offset: Duration) -> Duration {
        let micros = i64::try_from(offset.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let before = self.0.offset.fetch_max(micros, Ordering::AcqRel);
        if micros > before {
            self.0.jumped.send_modify(|n| *n += 1);
        }
        self.offset()
    }

    /// Moves domain time forward by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        match &self.0.fixed {
            Some(at) => at.fetch_add(micros, Ordering::AcqRel),
            None => self.0.offset.fetch_add(micros, Ordering::AcqRel),
        };
        self.0.jumped.send_modify(|n| *n += 1);
    }

    /// Wakes when domain time jumps (not when it merely passes).
    pub fn jumps(&self) -> watch::Receiver<u64> {
        self.0.jumped.subscribe()
    }
}

/// Rests in real time, less when domain time jumps, also one that came meanwhile. Gives whether to go on.
pub async fn rest(jumps: &mut watch::Receiver<u64>, pause: Duration, stop: &CancellationToken) -> bool {
    let go_on = tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
        _ = jumps.changed() => true,
    };
    // What is done next sees it.
    jumps.mark_unchanged();
    go_on
}

/// A new UUIDv7; later calls in one process give greater ids.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Cuts an instant to whole microseconds, as PostgreSQL would.
pub fn to_micros(at: Timestamp) -> Timestamp {
    from_micros(at.timestamp_micros())
}

/// A protobuf timestamp of an instant.
pub fn to_proto(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.timestamp(),
        nanos: i32::try_from(at.timestamp_subsec_nanos().min(999_999_999)).unwrap_or_default(),
    }
}

/// An instant of a protobuf timestamp, cut to microseconds; `None` when it is out of the range that the wire format
/// has (years 1 to 9999).
pub fn from_proto(at: &prost_types::Timestamp) -> Option<Timestamp> {
    let nanos = u32::try_from(at.nanos).ok().filter(|n| *n < 1_000_000_000)?;
    DateTime::from_timestamp(at.seconds, nanos).map(to_micros).filter(in_range)
}

/// Whether an instant lies in the years 1 to 9999: what the wire may carry. PostgreSQL takes all of that, but not all
/// of what [`Timestamp`] can hold.
pub fn in_range(at: &Timestamp) -> bool {
    (1..=9999).contains(&at.year())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn machine_micros() -> i64 {
    Utc::now().timestamp_micros()
}

fn from_micros(micros: i64) -> Timestamp {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC - TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn noon() -> Timestamp {
        DateTime::from_timestamp(1_772_000_000, 123_456_789).unwrap()
    }

    #[test]
    fn instants_have_whole_microseconds() {
        let now = Clock::system().now();
        assert_eq!(now, to_micros(now));
        assert_eq!(Clock::fixed(noon()).now().timestamp_subsec_nanos(), 123_456_000);
    }

    #[test]
    fn the_offset_only_moves_forward() {
        let clock = Clock::system();
        assert_eq!(clock.set_offset(Duration::from_secs(3600)), Duration::from_secs(3600));
        assert_eq!(clock.set_offset(Duration::from_secs(60)), Duration::from_secs(3600));
        let ahead = clock.now() - clock.real_now();
        assert!(ahead > TimeDelta::seconds(3599) && ahead <= TimeDelta::seconds(3600));
    }

    #[test]
    fn a_fixed_clock_stands_until_moved() {
        let clock = Clock::fixed(noon());
        let other = clock.clone();
        assert_eq!(clock.now(), to_micros(noon()));
        other.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), to_micros(noon()) + TimeDelta::seconds(90));
    }

    #[test]
    fn a_machine_whose_time_is_more_than_a_minute_off_is_not_decided_by_until_it_is_right_again() {
        let clock = Clock::system();
        assert!(!clock.is_astray(), "nothing is known against it");
        for (skew, astray) in [(5, false), (61, true), (-60, false), (-61, true), (0, false)] {
            clock.clone().compared(TimeDelta::seconds(skew));
            assert_eq!((clock.is_astray(), clock.skew()), (astray, TimeDelta::seconds(skew)));
        }
    }

    #[test]
    fn a_wrong_machine_says_another_real_time_and_leaves_a_fixed_one_as_it_is() {
        let hour = Duration::from_secs(3600);
        let wrong = Clock::fixed(noon()).ahead_by(hour);
        assert_eq!(wrong.now(), to_micros(noon()));
        let ahead = wrong.real_now() - Clock::system().real_now();
        assert!(ahead > TimeDelta::seconds(3599) && ahead <= TimeDelta::hours(1));
        assert!(Clock::system().ahead_by(hour).now() > Clock::system().now() + TimeDelta::minutes(59));
    }

    #[tokio::test]
    async fn a_rest_ends_when_domain_time_jumps_or_jumped_meanwhile_and_when_stopped() {
        let (clock, stop, day) =
            (Clock::fixed(noon()), CancellationToken::new(), Duration::from_secs(86_400));
        let mut jumps = clock.jumps();
        clock.advance(day);
        let rested = async {
            assert!(rest(&mut jumps, day, &stop).await, "it came before the rest began");
            assert!(rest(&mut jumps, day, &stop).now_or_never().is_none(), "a jump ends one rest");
            let (went_on, ()) = tokio::join!(rest(&mut jumps, day, &stop), async { clock.advance(day) });
            assert!(went_on);
            assert!(rest(&mut jumps, Duration::ZERO, &stop).await);
            stop.cancel();
            assert!(!rest(&mut jumps, day, &stop).await);
        };
        tokio::time::timeout(Duration::from_secs(5), rested).await.unwrap();
    }

    #[test]
    fn ids_grow() {
        let ids: Vec<Uuid> = (0..1000).map(|_| new_id()).collect();
        assert!(ids.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn proto_timestamps_round_trip_and_refuse_nonsense() {
        assert_eq!(from_proto(&to_proto(to_micros(noon()))), Some(to_micros(noon())));
        assert_eq!(from_proto(&prost_types::Timestamp { seconds: 0, nanos: -1 }), None);
        assert_eq!(from_proto(&prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        let (first, last) = (-62_135_596_800, 253_402_300_799); // of the wire: years 1 to 9999
        for (seconds, taken) in [(first - 1, false), (first, true), (last, true), (last + 1, false)] {
            let at = from_proto(&prost_types::Timestamp { seconds, nanos: 999_999_999 });
            assert_eq!(at.is_some(), taken, "{seconds}");
        }
    }
}
