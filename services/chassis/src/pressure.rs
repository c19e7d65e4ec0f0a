//! Overload: how long commands wait here, and who may still begin something new. What is measured is delay, not load: how
//! long a command lay in its writer's queue, and how late a timer of this process fires when its processors are busy.
//! As long as the *shortest* wait of an interval is above the target there is a standing queue (the idea of CoDel), and
//! less and less new work is let in, until there is none; work already begun goes on. Each queue is looked at for itself,
//! the longest counts, and one of which nothing was taken counts by the age of what waits in it. Who is refused is told
//! when to come again: each gets a place of their own in time, at half of what could be taken in lately, so that they do
//! not all come back at once; who comes back at that time, and not before, is let in before those who come first.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{Error, Result, config::GrpcConfig};

/// Header by which a caller says that the call was refused before: the one gRPC itself uses for attempts before this one.
pub const ATTEMPTS_HEADER: &str = "grpc-previous-rpc-attempts";

/// How long one look at the delays lasts.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often the timers of the process are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Shortest time to come back after.
const SOONEST: Duration = Duration::from_millis(200);
/// Furthest place that is promised; who would come later is told this, and is promised nothing.
const FURTHEST: Duration = Duration::from_secs(120);
/// Places are promised for so long after their time.
const KEPT: Duration = Duration::from_secs(10);
/// So much before its time a place may be taken: waits are told in whole milliseconds, and timers differ.
const EARLY: Duration = Duration::from_millis(20);
/// By this the share of new work shrinks in each interval with a standing queue …
const SHRINK: f64 = 0.7;
/// … and by this it grows in each without one.
const GROW: f64 = 0.05;
/// Never less, or nobody would notice that it could grow.
const LEAST: f64 = 0.01;
/// Weight of the latest interval in the rate of what is taken in.
const WEIGHT: f64 = 0.1;

/// When overload begins.
#[derive(Clone, Copy, Debug)]
pub struct PressureConfig {
    /// Delay that may stand; above it new work is refused.
    pub target: Duration,
    /// With fewer calls in hand nobody is refused: then it is not the callers who make it slow.
    pub floor: usize,
}

impl Default for PressureConfig {
    fn default() -> Self {
        Self { target: Duration::from_millis(50), floor: 16 }
    }
}

impl From<&GrpcConfig> for PressureConfig {
    fn from(grpc: &GrpcConfig) -> Self {
        Self { target: Duration::from_millis(grpc.delay_target_ms), floor: grpc.shed_above }
    }
}

/// The pressure on one service.
#[derive(Debug)]
pub struct Pressure {
    config: PressureConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the interval began.
    since: Instant,
    /// The queues of the writers.
    lanes: Vec<Lane>,
    /// Least lateness of a timer in it.
    lag: Option<Duration>,
    /// New work let in, in it.
    taken: u32,
    /// Share of new work that is let in.
    share: f64,
    /// What of the share has not been used; above one, the next is let in.
    credit: f64,
    /// New work that could be taken in per second, lately.
    rate: f64,
    /// The last place in time that was given away.
    last_place: Instant,
    /// Places given away and not taken yet, in time.
    places: VecDeque<Instant>,
}

/// One queue of commands.
#[derive(Debug, Default)]
struct Lane {
    /// Shortest wait of what was taken in this interval.
    least: Option<Duration>,
    /// How many wait, and since when at least one does.
    waiting: usize,
    oldest: Option<Instant>,
}

impl Lane {
    /// The wait of this interval, which ends; `None` where nothing waits and nothing came.
    fn close(&mut self, now: Instant) -> Option<Duration> {
        let waits = self.oldest.map(|since| now.saturating_duration_since(since));
        self.least.take().or(waits)
    }
}

/// What one writer tells of its queue.
#[derive(Debug, Clone)]
pub struct Queue {
    pressure: Arc<Pressure>,
    lane: usize,
}

impl Queue {
    /// A command is put in.
    pub fn put(&self) {
        self.put_at(Instant::now());
    }

    fn put_at(&self, now: Instant) {
        self.change(now, |lane| {
            lane.waiting += 1;
            lane.oldest.get_or_insert(now);
        });
    }

    /// A command that was put in did not fit: those that wait have done so for as long as before.
    pub fn refused(&self) {
        self.refused_at(Instant::now());
    }

    fn refused_at(&self, now: Instant) {
        self.change(now, |lane| {
            lane.waiting = lane.waiting.saturating_sub(1);
            if lane.waiting == 0 {
                lane.oldest = None;
            }
        });
    }

    /// So many were taken out, of which the oldest had waited so long.
    pub fn taken(&self, count: usize, waited: Duration) {
        let now = Instant::now();
        self.change(now, |lane| {
            lane.least = Some(lane.least.map_or(waited, |least| least.min(waited)));
            lane.left(count, now);
        });
    }

    fn change(&self, now: Instant, change: impl FnOnce(&mut Lane)) {
        let mut state = self.pressure.at(now);
        if let Some(lane) = state.lanes.get_mut(self.lane) {
            change(lane);
        }
    }
}

impl Lane {
    fn left(&mut self, count: usize, now: Instant) {
        self.waiting = self.waiting.saturating_sub(count);
        // Of what is left nobody knows since when: since now at the latest.
        self.oldest = (self.waiting > 0).then_some(now);
    }
}

impl Default for Pressure {
    fn default() -> Self {
        Self::new(PressureConfig::default())
    }
}

impl Pressure {
    /// No pressure yet.
    pub fn new(config: PressureConfig) -> Self {
        let now = Instant::now();
        let state = State {
            since: now,
            lanes: Vec::new(),
            lag: None,
            taken: 0,
            share: 1.0,
            credit: 1.0,
            rate: 0.0,
            last_place: now,
            places: VecDeque::new(),
        };
        Self { config, state: Mutex::new(state) }
    }

    /// One more queue that is looked at.
    pub fn queue(self: &Arc<Self>) -> Queue {
        let mut state = self.at(Instant::now());
        state.lanes.push(Lane::default());
        Queue { pressure: self.clone(), lane: state.lanes.len() - 1 }
    }

    /// Whether a call that begins something new may go on; `back` if it was refused before.
    ///
    /// # Errors
    /// `Exhausted` with the time after which it is let in.
    pub fn admit(&self, in_hand: usize, back: bool) -> Result<()> {
        self.admit_at(Instant::now(), in_hand, back)
    }

    /// Share of new work that is let in just now, 0 to 1.
    pub fn share(&self) -> f64 {
        self.at(Instant::now()).share
    }

    /// Watches how late the timers of this process are, until `stop`.
    ///
    /// # Errors
    /// Never.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        loop {
            let began = Instant::now();
            if stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
                return Ok(());
            }
            self.late(began.elapsed().saturating_sub(TICK));
        }
    }

    fn late(&self, lag: Duration) {
        let mut state = self.at(Instant::now());
        state.lag = Some(state.lag.map_or(lag, |least| least.min(lag)));
    }

    fn admit_at(&self, now: Instant, in_hand: usize, back: bool) -> Result<()> {
        let mut state = self.at(now);
        if back && state.takes_a_place(now) {
            state.taken += 1;
            return Ok(());
        }
        state.credit = (state.credit + state.share).min(2.0);
        if state.credit >= 1.0 || in_hand <= self.config.floor {
            state.credit = (state.credit - 1.0).max(0.0);
            state.taken += 1;
            return Ok(());
        }
        Err(Error::Exhausted { retry_after: state.place(now) })
    }

    /// The state, with the interval closed if it is over.
    fn at(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.since) >= INTERVAL {
            state.close(now, self.config.target);
        }
        state
    }
}

#[cfg(test)]
impl Pressure {
    /// Lets nobody in who comes for the first time, for an interval.
    pub(crate) fn overloaded() -> Self {
        let pressure = Self::new(PressureConfig { floor: 0, ..PressureConfig::default() });
        {
            let mut state = pressure.at(Instant::now());
            (state.since, state.share, state.credit) = (Instant::now() + Duration::from_secs(60), 0.0, 0.0);
        }
        pressure
    }
}

impl State {
    fn close(&mut self, now: Instant, target: Duration) {
        let lasted = now.saturating_duration_since(self.since).as_secs_f64();
        let taken = f64::from(self.taken) / lasted;
        let queued = self.lanes.iter_mut().filter_map(|lane| lane.close(now)).max();
        let delay = queued.max(self.lag).unwrap_or_default();
        if delay > target {
            self.share = (self.share * SHRINK).max(LEAST);
        } else {
            self.share = (self.share + GROW).min(1.0);
        }
        let latest = self.rate + (taken - self.rate) * WEIGHT;
        // Without pressure what comes in says nothing of what could.
        self.rate = if self.share < 1.0 { latest } else { latest.max(self.rate) };
        // Whoever has not come by now does not come.
        while self.places.front().is_some_and(|place| now.saturating_duration_since(*place) > KEPT) {
            self.places.pop_front();
        }
        (self.since, self.lag, self.taken) = (now, None, 0);
    }

    /// Takes a place whose time has come, if there is one.
    fn takes_a_place(&mut self, now: Instant) -> bool {
        let due = self.places.front().is_some_and(|place| *place <= now + EARLY);
        if due {
            self.places.pop_front();
        }
        due
    }

    /// The next place in time, from now.
    fn place(&mut self, now: Instant) -> Duration {
        let between = Duration::from_secs_f64(1.0 / (self.rate / 2.0).max(1.0));
        let place = self.last_place.max(now + SOONEST) + between;
        let wait = place.saturating_duration_since(now);
        if wait > FURTHEST {
            return FURTHEST;
        }
        self.last_place = place;
        self.places.push_back(place);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100;

    /// With one queue.
    fn pressure() -> (Arc<Pressure>, Instant) {
        let pressure = Arc::new(Pressure::default());
        pressure.queue();
        let now = pressure.state.lock().unwrap().since;
        (pressure, now)
    }

    /// One interval in which the shortest wait in the first queue was this; gives the end of it.
    fn interval(pressure: &Pressure, now: Instant, waited: u64) -> Instant {
        pressure.at(now).lanes[0].least = Some(Duration::from_millis(waited));
        let end = now + INTERVAL;
        drop(pressure.at(end));
        end
    }

    fn refused(pressure: &Pressure, now: Instant) -> Option<Duration> {
        match pressure.admit_at(now, MANY, false) {
            Ok(()) => None,
            Err(Error::Exhausted { retry_after }) => Some(retry_after),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_queue_that_only_shows_up_now_and_then_refuses_nobody() {
        let (pressure, mut now) = pressure();
        for _ in 0..50 {
            pressure.at(now).lag = Some(Duration::from_millis(1));
            now = interval(&pressure, now, 10);
            assert_eq!(refused(&pressure, now), None);
        }
        assert!((pressure.at(now).share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_standing_queue_leaves_less_and_less_room_for_new_work_and_its_end_gives_it_back() {
        let (pressure, mut now) = pressure();
        for _ in 0..20 {
            now = interval(&pressure, now, 80);
        }
        let let_in = (0..1_000).filter(|_| refused(&pressure, now).is_none()).count();
        assert!((1..=20).contains(&let_in), "{let_in} of a thousand");
        for _ in 0..25 {
            now = interval(&pressure, now, 5);
        }
        assert!((0..1_000).all(|_| refused(&pressure, now).is_none()), "all are let in two seconds later");
    }

    #[test]
    fn a_queue_of_which_nothing_is_taken_counts_by_what_waits_in_it() {
        let (pressure, mut now) = pressure();
        let queue = Queue { pressure: pressure.clone(), lane: 0 };
        queue.put_at(now);
        for _ in 0..200 {
            now += INTERVAL / 10;
            // More come, but it is full.
            queue.put_at(now);
            queue.refused_at(now);
        }
        assert!(pressure.at(now).share < 0.1, "a writer that hangs lets nobody in");
        assert_eq!(pressure.at(now).lanes[0].waiting, 1);
    }

    #[test]
    fn a_queue_that_stands_is_not_hidden_by_one_that_does_not() {
        let (pressure, mut now) = pressure();
        let other = pressure.queue();
        for _ in 0..20 {
            pressure.at(now).lanes[other.lane].least = Some(Duration::ZERO);
            now = interval(&pressure, now, 400);
        }
        assert!(pressure.at(now).share < 0.1);
    }

    #[test]
    fn late_timers_are_pressure_too_but_few_calls_in_hand_are_not_to_blame() {
        let (pressure, mut now) = pressure();
        for _ in 0..20 {
            pressure.at(now).lag = Some(Duration::from_millis(200));
            now += INTERVAL;
        }
        drop(pressure.at(now));
        assert!((0..100).any(|_| refused(&pressure, now).is_some()));
        assert!((0..100).all(|_| pressure.admit_at(now, 16, false).is_ok()));
    }

    #[test]
    fn each_is_told_a_time_of_their_own_and_let_in_when_they_come_back_at_it() {
        let (pressure, mut now) = pressure();
        for _ in 0..40 {
            pressure.at(now).taken = 20; // 200 per second
            now = interval(&pressure, now, 80);
        }
        let told: Vec<Duration> = (0..300).filter_map(|_| refused(&pressure, now)).collect();
        assert!(told.len() > 280);
        let (first, last) = (told[0], told[told.len() - 1]);
        assert!(first >= SOONEST && told.is_sorted(), "{first:?}");
        let seconds = (last - first).as_secs_f64();
        assert!((2.5..3.5).contains(&seconds), "a hundred come back per second: {seconds}");
        // Under the same pressure those who come back are let in, and no more than were promised a place.
        pressure.at(now).share = 0.0;
        pressure.at(now).credit = 0.0;
        assert!(pressure.admit_at(now, MANY, true).is_err(), "who comes back at once is not let in");
        assert!(told.iter().all(|wait| pressure.admit_at(now + *wait, MANY, true).is_ok()));
        (pressure.at(now).share, pressure.at(now).credit) = (0.0, 0.0);
        assert!(pressure.admit_at(now, MANY, true).is_err(), "nor who only says so");
    }

    #[test]
    fn no_place_is_promised_too_far_away_and_none_for_ever() {
        let (pressure, mut now) = pressure();
        for _ in 0..40 {
            now = interval(&pressure, now, 80);
        }
        pressure.at(now).share = 0.0;
        let told: Vec<Duration> = (0..1_000).filter_map(|_| refused(&pressure, now)).collect();
        assert!(told.iter().all(|wait| *wait <= FURTHEST));
        let places = pressure.at(now).places.len();
        assert!(places as u64 <= FURTHEST.as_secs(), "one per second at least: {places}");
        let later = now + FURTHEST + KEPT + 2 * INTERVAL;
        assert!(pressure.at(later).places.is_empty());
    }

    #[tokio::test]
    async fn the_watch_ends_when_told() {
        let (pressure, stop) = (Arc::new(Pressure::default()), CancellationToken::new());
        let watch = tokio::spawn(pressure.clone().watch(stop.clone()));
        tokio::time::sleep(Duration::from_millis(60)).await;
        stop.cancel();
        watch.await.unwrap().unwrap();
    }
}
