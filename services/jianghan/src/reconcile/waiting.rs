//! Events that are under way, and waiting for them.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use proto::ops::v1::GetStatisticsResponse;
use serde::Serialize;

use super::statistics;
use crate::suite::{Session, Suite};

/// Events that have not been handled, in all services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// In outboxes.
    pub unsent: i64,
    /// Parked, and tried again by themselves.
    pub parked: i64,
    /// Parked behind a dead one of their key: they wait for an operator.
    pub behind_dead: i64,
    /// Dead: they do, too.
    pub dead: i64,
    /// Batches of them that are being taken in.
    pub in_hand: i64,
    /// Groups of them that no replica is known to take in.
    pub unattended: i64,
}

impl Waiting {
    /// By the services' figures.
    pub fn of<'a>(figures: impl IntoIterator<Item = &'a GetStatisticsResponse>) -> Self {
        figures.into_iter().fold(Self::default(), |sum, one| Self {
            unsent: sum.unsent + one.outbox_backlog,
            parked: sum.parked + one.parked,
            behind_dead: sum.behind_dead + one.behind_dead,
            dead: sum.dead + one.dead,
            in_hand: sum.in_hand + one.in_hand,
            unattended: sum.unattended + one.unattended,
        })
    }

    /// What keeps everything from having been sent and taken in.
    fn under_way(&self) -> i64 {
        self.unsent + self.in_hand + self.unattended
    }

    /// Whether none waits for an operator: what was to be done has been done for every event.
    ///
    /// # Errors
    /// Tells what waits.
    pub fn all_handled(&self) -> Result<()> {
        anyhow::ensure!(self.dead + self.behind_dead == 0, "not every event was handled: {self}");
        Ok(())
    }

    /// What is parked, and what an operator can do about it; nothing if nothing is.
    pub fn held_up(&self) -> Option<String> {
        (self.parked + self.behind_dead + self.dead > 0).then(|| {
            format!(
                "{self}: `jianghan events parked` shows them; what is behind a dead one goes on when that is redriven or \
                 skipped"
            )
        })
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unsent, parked, behind_dead, dead, .. } = self;
        write!(
            f,
            "{unsent} events unsent, {parked} parked and tried again, {behind_dead} behind dead ones, {dead} dead"
        )
    }
}

/// Waits until no service has events in its outbox, in hand, or parked ones that go by themselves. Gives what waits then, which is dead
/// or behind a dead one: [`Waiting::all_handled`] is for whoever needs that there are none. Gives up after `patience` and says
/// what is left; without any it looks once.
pub async fn drain(suite: &Suite, operator: &Session, patience: Duration) -> Result<Waiting> {
    until_quiet(suite, operator, patience, |waiting| waiting.under_way() + waiting.parked).await
}

/// Waits until everything has been sent and taken in, be it parked; gives what is. As [`drain`] otherwise.
pub async fn taken_in(suite: &Suite, operator: &Session, patience: Duration) -> Result<Waiting> {
    until_quiet(suite, operator, patience, Waiting::under_way).await
}

/// Waits until `left` is zero and nothing is done any more.
async fn until_quiet(
    suite: &Suite,
    operator: &Session,
    patience: Duration,
    left: impl Fn(&Waiting) -> i64,
) -> Result<Waiting> {
    let deadline = Instant::now() + patience;
    let mut looks = Looks::default();
    loop {
        let figures = statistics(suite, operator).await?;
        let waiting = Waiting::of(figures.values());
        let done = done(figures.values());
        let left = left(&waiting);
        let verdict = if patience.is_zero() {
            Some(left == 0)
        } else {
            looks.take(left, done, Instant::now() >= deadline)
        };
        match verdict {
            Some(true) => return Ok(waiting),
            Some(false) => {
                let Waiting { in_hand, unattended, .. } = waiting;
                anyhow::bail!(
                    "events are still under way after {patience:?}: {waiting}; {in_hand} batches are being taken in, \
                     {unattended} groups by nobody"
                );
            }
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// What whoever answers has published and consumed, and how far the databases are, in which every replica counts.
fn done<'a>(figures: impl IntoIterator<Item = &'a GetStatisticsResponse>) -> (i64, i64) {
    figures
        .into_iter()
        .fold((0, 0), |(own, all), one| (own + one.published + one.consumed, all + one.progress))
}

/// Looks at the services, one after the other.
#[derive(Default)]
struct Looks {
    /// What had been done at the one before.
    done: Option<(i64, i64)>,
    /// How many in a row found nothing left, and nothing done since the one before.
    quiet: u32,
}

impl Looks {
    /// One more; whether all is quiet, if it can be told yet. Confirmed by the broker is not yet handled: nothing may be
    /// consumed any more for some looks, or, when time is over, since the look before.
    fn take(&mut self, left: i64, done: (i64, i64), over: bool) -> Option<bool> {
        let before = self.done.replace(done);
        self.quiet = if left == 0 && before == Some(done) { self.quiet + 1 } else { 0 };
        if self.quiet >= 5 {
            return Some(true);
        }
        // A single look does not tell whether anything moves.
        let tells = before.is_some() || left > 0;
        (over && tells).then_some(self.quiet > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_added_up_and_only_what_is_parked_is_told_to_an_operator() {
        let one = |outbox_backlog, parked, behind_dead, dead| GetStatisticsResponse {
            outbox_backlog,
            parked,
            behind_dead,
            dead,
            in_hand: 1,
            unattended: 4,
            ..Default::default()
        };
        let waiting = Waiting::of(&[one(5, 1, 0, 0), one(0, 1, 3, 2)]);
        let sum = Waiting { unsent: 5, parked: 2, behind_dead: 3, dead: 2, in_hand: 2, unattended: 8 };
        assert_eq!(waiting, sum);
        assert_eq!(waiting.under_way(), 5 + 2 + 8);
        let told = waiting.held_up().expect("some are parked");
        assert!(told.contains("3 behind dead ones") && told.contains("redriven or skipped"), "{told}");
        assert_eq!(Waiting { unsent: 5, ..Waiting::default() }.held_up(), None);
    }

    #[test]
    fn dead_events_and_those_behind_them_were_not_handled() {
        assert!(Waiting { unsent: 5, parked: 1, ..Waiting::default() }.all_handled().is_ok());
        for waiting in
            [Waiting { dead: 1, ..Waiting::default() }, Waiting { behind_dead: 1, ..Waiting::default() }]
        {
            let told = waiting.all_handled().expect_err("one waits for an operator").to_string();
            assert!(told.contains(&waiting.to_string()), "{told}");
        }
    }

    #[test]
    fn what_a_replica_does_that_does_not_answer_is_something_done() {
        let answers = |progress| GetStatisticsResponse { consumed: 7, progress, ..Default::default() };
        let mut looks = Looks::default();
        for progress in 1..20 {
            assert_eq!(looks.take(0, done(&[answers(progress)]), false), None);
        }
        let verdicts: Vec<_> = (0..5).map(|_| looks.take(0, done(&[answers(19)]), false)).collect();
        assert_eq!(verdicts, [None, None, None, None, Some(true)]);
    }

    #[test]
    fn it_is_quiet_when_some_looks_in_a_row_find_nothing_left_and_nothing_moving() {
        let mut looks = Looks::default();
        let seen = [(1, 7), (0, 8), (0, 9), (0, 9), (0, 9), (0, 9), (0, 9)];
        assert!(seen.iter().all(|(left, done)| looks.take(*left, (0, *done), false).is_none()));
        assert_eq!(looks.take(0, (0, 9), false), Some(true));
    }

    #[test]
    fn when_time_is_over_only_what_is_left_or_moved_at_the_end_counts() {
        let mut looks = Looks::default();
        assert_eq!(looks.take(0, (3, 7), false), None);
        assert_eq!(looks.take(0, (3, 7), true), Some(true));
        assert_eq!(looks.take(0, (3, 8), true), Some(false), "it was still moving");
        assert_eq!(looks.take(1, (3, 8), true), Some(false), "one is left");
        assert_eq!(Looks::default().take(1, (0, 0), true), Some(false));
        assert_eq!(Looks::default().take(0, (0, 0), true), None, "whether it moves, the next look tells");
    }
}
