//! Compares what case-routing holds with what the other services learnt from its events, and what analytics
//! reports with a recount from the cases. Reads the services' `jianghan.ops.v1` only; changes nothing.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use proto::ops::v1::{GetStatisticsRequest, GetStatisticsResponse, ListDigestsRequest};
use serde::Serialize;

use crate::suite::{SERVICES, Session, Suite};

/// One thing on which two services disagree.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// `case`, `task`, `offer`; `due` and the recounts `rollup`, `outcome`, `state`, `open_due`.
    pub subject: &'static str,
    /// The service that was compared with case-routing.
    pub service: &'static str,
    /// Id of the thing.
    pub key: String,
    /// `missing` (the other service lacks it), `extra` (only it has it) or `differing`.
    pub kind: &'static str,
    /// What case-routing holds.
    pub expected: String,
    /// What the other service holds.
    pub found: String,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reconciliation {
    /// How many things were compared, by subject.
    pub compared: BTreeMap<&'static str, u64>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
    /// Active assignments beyond those that a task needs + extra records + extra facts + |rollup − recount|.
    pub duplicated_effects: u64,
}

/// Who is compared with case-routing on what.
const COMPARISONS: [(&str, &str); 8] = [
    ("case", "analytics"),
    ("rollup", "analytics"),
    ("outcome", "analytics"),
    ("state", "analytics"),
    ("due", "analytics"),
    ("open_due", "analytics"),
    ("task", "staffing"),
    ("offer", "volunteer-matching"),
];

/// Subjects that count: any distance from the recount is a wrong effect.
const COUNTED: [&str; 4] = ["rollup", "outcome", "state", "open_due"];

/// The figures of every service.
pub async fn statistics(
    suite: &Suite,
    operator: &Session,
) -> Result<BTreeMap<&'static str, GetStatisticsResponse>> {
    let mut all = BTreeMap::new();
    for service in SERVICES {
        let request = operator.request(GetStatisticsRequest {}).await?;
        all.insert(service, suite.ops(service).get_statistics(request).await?.into_inner());
    }
    Ok(all)
}

/// Events that have not been handled, in all services together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// In outboxes.
    pub unsent: i64,
    /// Parked, and tried again by themselves.
    pub parked: i64,
    /// Parked behind a dead one of their key: they wait for an operator.
    pub behind_dead: i64,
    /// Dead: they do, too.
    pub dead: i64,
}

impl Waiting {
    /// By the services' figures.
    pub fn of<'a>(figures: impl IntoIterator<Item = &'a GetStatisticsResponse>) -> Self {
        figures.into_iter().fold(Self::default(), |sum, one| Self {
            unsent: sum.unsent + one.outbox_backlog,
            parked: sum.parked + one.parked,
            behind_dead: sum.behind_dead + one.behind_dead,
            dead: sum.dead + one.dead,
        })
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
        let Self { unsent, parked, behind_dead, dead } = self;
        write!(
            f,
            "{unsent} events unsent, {parked} parked and tried again, {behind_dead} behind dead ones, {dead} dead"
        )
    }
}

/// Waits until no service has events in its outbox or parked ones that go by themselves. Gives what waits then, which is dead
/// or behind a dead one: [`Waiting::all_handled`] is for whoever needs that there are none. Gives up after `patience` and says
/// what is left; without any it looks once.
pub async fn drain(suite: &Suite, operator: &Session, patience: Duration) -> Result<Waiting> {
    until_quiet(suite, operator, patience, |waiting| waiting.unsent + waiting.parked).await
}

/// Waits until everything has been sent and taken in, be it parked; gives what is. As [`drain`] otherwise.
pub async fn taken_in(suite: &Suite, operator: &Session, patience: Duration) -> Result<Waiting> {
    until_quiet(suite, operator, patience, |waiting| waiting.unsent).await
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
        let done = figures
            .values()
            .fold((0, 0), |(published, consumed), one| (published + one.published, consumed + one.consumed));
        let left = left(&waiting);
        let verdict = if patience.is_zero() {
            Some(left == 0)
        } else {
            looks.take(left, done, Instant::now() >= deadline)
        };
        match verdict {
            Some(true) => return Ok(waiting),
            Some(false) => anyhow::bail!("events are still under way after {patience:?}: {waiting}"),
            None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Looks at the services, one after the other.
#[derive(Default)]
struct Looks {
    /// What had been published and consumed at the one before.
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

/// Compares the services. The caller drains first, else differences may be events under way.
pub async fn reconcile(suite: &Suite, operator: &Arc<Session>) -> Result<Reconciliation> {
    let mut outcome = Reconciliation::default();
    for (subject, service) in COMPARISONS {
        let expected = digests(suite, operator, "case-routing", subject).await?;
        let found = digests(suite, operator, service, subject).await?;
        outcome.compared.insert(subject, expected.len() as u64);
        compare(subject, service, &expected, &found, &mut outcome);
    }
    Ok(outcome)
}

fn compare(
    subject: &'static str,
    service: &'static str,
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    outcome: &mut Reconciliation,
) {
    let mut push = |kind, key: &str, expected: &str, found: &str| {
        outcome.duplicated_effects += duplicated(subject, expected, found);
        outcome.differences.push(Difference {
            subject,
            service,
            key: key.to_owned(),
            kind,
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    };
    for (key, want) in expected {
        match found.get(key) {
            None if empty_effect(want) => {}
            None => push("missing", key, want, ""),
            Some(have) if have != want => push("differing", key, want, have),
            Some(_) => {}
        }
    }
    for (key, have) in found {
        if !expected.contains_key(key) && !empty_effect(have) {
            push("extra", key, "", have);
        }
    }
}

/// A value that says "nothing here" need not be held by the other side.
fn empty_effect(value: &str) -> bool {
    !value.is_empty() && value.split(';').all(|part| part.ends_with("=0"))
}

/// How often an effect stands that should not: numbers above what is expected, or a thing too many.
fn duplicated(subject: &str, expected: &str, found: &str) -> u64 {
    let numbers = |value: &str| -> BTreeMap<String, i64> {
        value
            .split(';')
            .filter_map(|part| part.split_once('='))
            .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
            .collect()
    };
    let (mut want, have) = (numbers(expected), numbers(found));
    if COUNTED.contains(&subject) {
        let over: u64 =
            have.iter().map(|(name, n)| (n - want.remove(name).unwrap_or(0)).unsigned_abs()).sum();
        return over + want.values().map(|n| n.unsigned_abs()).sum::<u64>();
    }
    if have.is_empty() {
        return u64::from(expected.is_empty() && !found.is_empty());
    }
    // Only what is too much.
    have.iter().map(|(name, n)| (n - want.get(name).copied().unwrap_or(0)).max(0).unsigned_abs()).sum()
}

/// Everything a service holds about a subject.
pub async fn digests(
    suite: &Suite,
    operator: &Session,
    service: &str,
    subject: &str,
) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = operator
            .request(ListDigestsRequest { subject: subject.to_owned(), page_size: 5000, page_token })
            .await?;
        let page = suite
            .ops(service)
            .list_digests(request)
            .await
            .with_context(|| format!("{service} does not list its digests of `{subject}`"))?
            .into_inner();
        all.extend(page.digests.into_iter().map(|digest| (digest.key, digest.value)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(subject: &'static str, expected: &[(&str, &str)], found: &[(&str, &str)]) -> Reconciliation {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut outcome = Reconciliation::default();
        compare(subject, "analytics", &map(expected), &map(found), &mut outcome);
        outcome
    }

    #[test]
    fn equal_sides_differ_in_nothing() {
        let same = outcome("case", &[("a", "closed|9")], &[("a", "closed|9")]);
        assert!(same.differences.is_empty());
        assert_eq!(same.duplicated_effects, 0);
    }

    #[test]
    fn a_second_active_assignment_is_a_duplicated_effect() {
        let two = outcome("task", &[("t", "known;active=1")], &[("t", "known;active=2")]);
        assert_eq!(two.duplicated_effects, 1);
        assert_eq!(two.differences[0].kind, "differing");
    }

    #[test]
    fn of_a_task_that_needs_several_only_those_beyond_are_duplicated_effects() {
        let needed = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=2")]);
        assert!(needed.differences.is_empty(), "{needed:?}");
        let three = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=3")]);
        assert_eq!((three.differences[0].kind, three.duplicated_effects), ("differing", 1));
        let lost = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=1")]);
        assert_eq!((lost.differences[0].kind, lost.duplicated_effects), ("differing", 0));
    }

    #[test]
    fn a_missing_fact_is_lost_but_not_duplicated() {
        let lost = outcome("case", &[("a", "closed|9")], &[]);
        assert_eq!(lost.differences[0].kind, "missing");
        assert_eq!(lost.duplicated_effects, 0);
    }

    #[test]
    fn a_task_that_was_signed_and_is_absent_in_staffing_is_missing() {
        let lost = outcome("task", &[("t", "known;active=0")], &[]);
        assert_eq!(lost.differences[0].kind, "missing");
        assert_eq!(lost.duplicated_effects, 0);
        let unheard = outcome("task", &[], &[("t", "known;active=0")]);
        assert_eq!(unheard.differences[0].kind, "extra");
    }

    #[test]
    fn a_rollup_too_low_or_too_high_counts_by_its_distance() {
        let low =
            outcome("rollup", &[("u|i|d", "registered=5;closed=3")], &[("u|i|d", "registered=4;closed=5")]);
        assert_eq!(low.duplicated_effects, 3);
    }

    #[test]
    fn outcomes_states_and_due_times_count_by_their_distance_too() {
        let ended = outcome(
            "outcome",
            &[("u|i", "ended_resolved=2;mode_volunteer=2")],
            &[("u|i", "ended_resolved=3;mode_gov_direct=2")],
        );
        assert_eq!(ended.duplicated_effects, 5);
        let moved = outcome("state", &[("u|l|closed", "count=2")], &[("u|l|signed", "count=2")]);
        assert_eq!(moved.differences.iter().map(|d| d.kind).collect::<Vec<_>>(), ["missing", "extra"]);
        assert_eq!(moved.duplicated_effects, 4);
        let due = outcome("due", &[("c", "2026-03-02T09:00:00.000000Z")], &[]);
        assert_eq!((due.differences[0].kind, due.duplicated_effects), ("missing", 0));
    }

    #[test]
    fn what_waits_is_added_up_and_only_what_is_parked_is_told_to_an_operator() {
        let one = |outbox_backlog, parked, behind_dead, dead| GetStatisticsResponse {
            outbox_backlog,
            parked,
            behind_dead,
            dead,
            ..Default::default()
        };
        let waiting = Waiting::of(&[one(5, 1, 0, 0), one(0, 1, 3, 2)]);
        assert_eq!(waiting, Waiting { unsent: 5, parked: 2, behind_dead: 3, dead: 2 });
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

    #[test]
    fn nothing_and_zero_are_the_same() {
        assert!(outcome("rollup", &[("u|i|d", "registered=0")], &[]).differences.is_empty());
        assert!(outcome("rollup", &[], &[("u|i|d", "registered=0")]).differences.is_empty());
    }
}
