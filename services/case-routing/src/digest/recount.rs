//! Cases counted anew for reconcile, one slice of them after the other. What is counted is kept from call to call: the caller is told
//! to ask again until all cases were looked at. No index has them by place, and one would cost every command; so of the groups,
//! which may be nearly as many as the cases, those that come first are held, and for the next ones the cases are looked at once more.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Range},
    ops::Bound,
    time::{Duration, Instant},
};

use chassis::{
    Error, Result,
    clock::to_micros,
    db::Db,
    ops::{ABANDONED, Digest, ask_again},
};
use diesel_async::AsyncPgConnection;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::Case,
    store::{
        digests::{self, CaseCount},
        rows::open_due_at,
    },
};

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Portions {
    /// How long cases are counted for one call, which has to be answered within ten seconds.
    pub within: Duration,
    /// Cases that are read at once.
    pub batch: i64,
    /// Groups that are held at once, or those of a page where these are more.
    pub held: usize,
}

impl Default for Portions {
    fn default() -> Self {
        Self { within: Duration::from_secs(4), batch: 1_000, held: 200_000 } // some 40 MB
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// By place, item and day of registration.
    Rollup,
    /// By place and item.
    Outcome,
    /// By place, line and state.
    State,
    /// By case.
    Due,
    /// By place, line and full hour.
    OpenDue,
}

/// Place and the rest of the key, or the case alone: in the order of the text of the whole.
type Key = (Uuid, String);
/// What is counted, and how much it is; of a case that is due, the instant.
type Counts = Vec<(Cow<'static, str>, u64)>;

impl Of {
    /// What a subject counts; `None` for one that counts nothing.
    pub(super) fn subject(name: &str) -> Option<Self> {
        Some(match name {
            "rollup" => Self::Rollup,
            "outcome" => Self::Outcome,
            "state" => Self::State,
            "due" => Self::Due,
            "open_due" => Self::OpenDue,
            _ => return None,
        })
    }

    fn key(self, text: &str) -> Result<Key> {
        let (id, rest) = match self {
            Self::Due => (text, ""),
            _ => text.split_once('|').unwrap_or_default(),
        };
        let foreign = |_| Error::invalid("page_token", "is not a token of this list");
        Ok((Uuid::parse_str(id).map_err(foreign)?, rest.to_owned()))
    }

    fn digest(self, (id, rest): &Key, counts: &Counts) -> Digest {
        if self == Self::Due {
            return Digest::new(id, counts.iter().map(|(at, _)| &**at).collect::<String>());
        }
        let mut counts: Vec<_> = counts.iter().collect();
        if self == Self::Outcome {
            counts.sort_unstable();
        }
        let parts: Vec<String> = counts.into_iter().map(|(what, n)| format!("{what}={n}")).collect();
        Digest::new(format!("{id}|{rest}"), parts.join(";"))
    }

    /// What a case counts by its columns.
    fn count(self, case: &CaseCount) -> (Key, Counts) {
        let closed = matches!(case.state.as_str(), "closed" | "archived");
        let (rest, counts) = match self {
            Self::Rollup => (
                format!("{}|{}", case.item_code, case.day),
                vec![("registered".into(), 1), ("closed".into(), u64::from(closed))],
            ),
            Self::Outcome => {
                let code = case.closed_code.as_ref().filter(|_| !case.open);
                let mode = case.delivery_mode.as_ref().filter(|_| closed);
                let code = code.map(|code| format!("ended_{code}"));
                let ends = code.into_iter().chain(mode.map(|mode| format!("mode_{mode}")));
                (case.item_code.clone(), ends.map(|what| (what.into(), 1)).collect())
            }
            Self::State => (format!("{}|{}", case.line, case.state), vec![("count".into(), 1)]),
            Self::Due | Self::OpenDue => (String::new(), Vec::new()), // by its document
        };
        ((case.place_unit_id, rest), counts)
    }

    /// What a case counts by the due time that it can still miss.
    fn count_due(self, case: &Case) -> Option<(Key, Counts)> {
        let at = open_due_at(case).map(to_micros)?;
        if self == Self::Due {
            let at = at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            return Some(((case.id.0, String::new()), vec![(at.into(), 1)]));
        }
        let line = case.item.as_ref().and_then(|item| item.line.as_deref()).unwrap_or_default();
        let rest = format!("{line}|{}", at.format("%Y-%m-%dT%HZ"));
        Some(((case.place.unit.0, rest), vec![("count".into(), 1)]))
    }
}

/// A recount as far as it has been made. Whoever asks may be cut off at any await, and goes on from it.
struct Recount {
    of: Of,
    /// Only what comes behind this is counted.
    after: Option<Key>,
    groups: BTreeMap<Key, Counts>,
    most: usize,
    /// The first of the groups that are too many to be held, and are left out.
    beyond: Option<Key>,
    /// The last case that was looked at; unset when all were.
    at: Option<Uuid>,
    touched: Instant,
}

impl Recount {
    fn new(of: Of, after: Option<Key>, most: usize) -> Self {
        // A case's due time is found in the order of cases.
        let at = after.as_ref().filter(|_| of == Of::Due).map_or(Uuid::nil(), |(case, _)| *case);
        let touched = Instant::now();
        Self { of, after, groups: BTreeMap::new(), most, beyond: None, at: Some(at), touched }
    }

    /// Whether it gives a page, now or as soon as it is made.
    fn gives(&self, of: Of, after: Option<&Key>, most: usize) -> bool {
        if self.of != of {
            return false;
        }
        if self.at.is_some() {
            return self.after.as_ref() == after && most <= self.most;
        }
        // Who asks from the beginning wants it counted now.
        let begins = after.is_some() && self.after.as_ref() <= after;
        begins && (self.beyond.is_none() || self.behind(after).take(most).count() == most)
    }

    fn behind(&self, after: Option<&Key>) -> Range<'_, Key, Counts> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range::<Key, _>((from, Bound::Unbounded))
    }

    fn add(&mut self, (key, counts): (Key, Counts)) {
        let wanted = self.after.as_ref().is_none_or(|after| *after < key)
            && self.beyond.as_ref().is_none_or(|beyond| key < *beyond);
        if !wanted || counts.is_empty() {
            return;
        }
        let group = self.groups.entry(key).or_default();
        for (what, n) in counts {
            match group.iter_mut().find(|(known, _)| *known == what) {
                Some((_, sum)) => *sum += n,
                None => group.push((what, n)),
            }
        }
        if self.groups.len() > self.most {
            self.beyond = self.groups.pop_last().map(|(key, _)| key);
        }
    }

    /// Looks at the next cases; tells whether there are none any more.
    async fn go_on(&mut self, conn: &mut AsyncPgConnection, batch: i64) -> Result<bool> {
        let (of, Some(at)) = (self.of, self.at) else { return Ok(true) };
        let last = match of {
            Of::Due | Of::OpenDue => {
                let cases = digests::open_cases(conn, at, batch).await?;
                for group in cases.iter().filter_map(|case| of.count_due(case)) {
                    self.add(group);
                }
                cases.last().map(|case| case.id.0)
            }
            Of::Rollup | Of::Outcome | Of::State => {
                let cases = digests::counts(conn, at, batch).await?;
                for case in &cases {
                    self.add(of.count(case));
                }
                cases.last().map(|case| case.case_id)
            }
        };
        // Behind the cases that are held come no others that are to be.
        self.at = last.filter(|_| of != Of::Due || self.beyond.is_none());
        Ok(self.at.is_none())
    }
}

/// Makes recounts, one at a time.
pub(super) struct Recounts {
    db: Db,
    portions: Portions,
    in_hand: Mutex<Option<Recount>>,
}

impl Recounts {
    pub(super) fn new(db: Db, portions: Portions) -> Self {
        Self { db, portions, in_hand: Mutex::default() }
    }

    /// Groups after a key, in the order of the keys. `Exhausted` where not all cases were looked at yet, and while another recount is
    /// being made: to be asked for again soon.
    pub(super) async fn page(&self, of: Of, after: Option<&str>, limit: i64) -> Result<Vec<Digest>> {
        let until = Instant::now() + self.portions.within;
        let most = usize::try_from(limit).unwrap_or(0);
        let after = after.map(|key| of.key(key)).transpose()?;
        let mut in_hand = self.in_hand.lock().await;
        give_up(&mut in_hand, ABANDONED);
        if !in_hand.as_ref().is_some_and(|recount| recount.gives(of, after.as_ref(), most)) {
            if in_hand.as_ref().is_some_and(|recount| recount.at.is_some()) {
                return Err(ask_again());
            }
            *in_hand = None;
        }
        let new = || Recount::new(of, after.clone(), self.portions.held.max(most));
        let recount = in_hand.get_or_insert_with(new);
        let mut conn = self.db.conn().await?;
        loop {
            recount.touched = Instant::now();
            if recount.go_on(&mut conn, self.portions.batch).await? {
                break;
            }
            if Instant::now() >= until {
                return Err(ask_again());
            }
        }
        let groups = recount.behind(after.as_ref()).take(most);
        let page: Vec<Digest> = groups.map(|(key, counts)| of.digest(key, counts)).collect();
        // What was read to its end is held no longer; what was left in the middle goes with the next call.
        if page.len() < most {
            *in_hand = None;
        }
        Ok(page)
    }

    /// Until `stop`, lets go of a recount that nobody asks for any more; else it would be kept until the next one.
    pub(super) async fn let_go(&self, stop: &CancellationToken) {
        let_go(&self.in_hand, ABANDONED, stop).await;
    }
}

/// Looks every so often whether nobody has asked for the recount in that time.
async fn let_go(in_hand: &Mutex<Option<Recount>>, unasked: Duration, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(unasked)).await.is_some() {
        // Whoever holds it is asking.
        if let Ok(mut in_hand) = in_hand.try_lock() {
            give_up(&mut in_hand, unasked);
        }
    }
}

/// Drops a recount that nobody has asked for in such a time.
fn give_up(in_hand: &mut Option<Recount>, unasked: Duration) {
    drop(in_hand.take_if(|recount| recount.touched.elapsed() >= unasked));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recount_that_nobody_asks_for_any_more_is_let_go_without_another_one() {
        let (in_hand, stop) = (Mutex::new(Some(Recount::new(Of::State, None, 1))), CancellationToken::new());
        give_up(&mut *in_hand.lock().await, ABANDONED);
        assert!(in_hand.lock().await.is_some(), "it was touched just now");
        let gone = async {
            while in_hand.lock().await.is_some() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(let_go(&in_hand, Duration::from_millis(1), &stop), gone) };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("it is let go");
    }
}
