//! Lists that are made place by place: every cell of the rollups, as they are kept and counted anew from the facts, and their sums.
//! Keys are `place|…` in the order of their texts, so that lists can be laid side by side. What is listed of the place in hand is
//! kept for its next page. A place may have more facts than can be counted within one call, and a page more places: then the caller
//! is told to ask again, and it goes on from where it was. Cases that are due come so, too, slice by slice.

use std::time::{Duration, Instant};

use chassis::{
    Error, Result,
    db::{Conn, Db},
    ops::{ABANDONED, Digest, ask_again},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::cells;
use crate::store::{
    digest::{self, Listed},
    recount,
};

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub enum List {
    /// The cells of the rollups.
    Kept,
    /// The same, counted anew.
    Counted,
    /// What the rollups of a place come to.
    Sums(Listed),
    /// Due times that can still be missed, by case: in place of places come the cases behind which slices begin.
    Due,
}

/// Where sums of an unknown place stand: nothing is before the `|` of their keys, which comes behind every digit.
const UNKNOWN: Uuid = Uuid::max();

/// Makes a list.
#[derive(Debug)]
pub struct Places {
    db: Db,
    list: List,
    within: Duration,
    in_hand: Mutex<InHand>,
}

#[derive(Debug, Default)]
struct InHand {
    /// All of the place in which the last page ended.
    rows: Option<(Uuid, Vec<Digest>)>,
    /// The page that is being made.
    page: Option<Page>,
}

/// A page as far as it has been made. Whoever asks may be cut off at any await, and goes on from it.
#[derive(Debug)]
struct Page {
    after: Option<String>,
    most: usize,
    /// The place that is read.
    place: Uuid,
    rows: Vec<Digest>,
    /// What has been counted of the place.
    count: Option<recount::Count>,
    touched: Instant,
}

impl Page {
    /// The key behind which it goes on.
    fn last(&self) -> Option<&str> {
        self.rows.last().map(|row| &row.key).or(self.after.as_ref()).map(String::as_str)
    }
}

impl Places {
    /// Of this database. A call takes about so long at most.
    pub fn new(db: Db, list: List, within: Duration) -> Self {
        Self { db, list, within, in_hand: Mutex::default() }
    }

    /// What comes after a key, in the order of the keys.
    ///
    /// # Errors
    /// `Exhausted` where it could not be made yet, and while another page is being made: to be asked for again soon.
    pub async fn page(&self, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let until = Instant::now() + self.within;
        let most = usize::try_from(limit).unwrap_or(0);
        let begun = after.as_deref().map(|key| self.list.place_of(key)).transpose()?;
        let mut in_hand = self.in_hand.lock().await;
        let InHand { rows: known, page: making } = &mut *in_hand;
        drop(making.take_if(|page| page.touched.elapsed() >= ABANDONED));
        if making.as_ref().is_some_and(|page| page.after != after || page.most != most) {
            return Err(ask_again());
        }
        let page = making.get_or_insert_with(|| Page {
            // The nil place, which is none, comes first.
            place: begun.unwrap_or_default(),
            after,
            most,
            rows: Vec::new(),
            count: None,
            touched: Instant::now(),
        });
        // What was read to its end is held no longer; what was left in the middle goes with the next call.
        let mut known = known.take().filter(|(place, _)| begun == Some(*place));
        let mut conn = self.db.conn().await?;
        let whole = loop {
            page.touched = Instant::now();
            let rows = match known.take_if(|(place, _)| *place == page.place) {
                Some((_, rows)) => rows,
                None => self.read(&mut conn, page, until).await?.ok_or_else(ask_again)?,
            };
            let last = page.last();
            let from = last.map_or(0, |last| rows.partition_point(|row| row.key.as_str() <= last));
            let full = page.rows.len() + rows.len() - from >= most;
            let next = if full { None } else { self.next(&mut conn, page.place).await? };
            page.rows.extend(rows.iter().skip(from).take(most.saturating_sub(page.rows.len())).cloned());
            page.count = None;
            match next {
                Some(next) => page.place = next,
                None => break full.then_some((page.place, rows)),
            }
            if Instant::now() >= until {
                return Err(ask_again());
            }
        };
        let rows = std::mem::take(&mut page.rows);
        *in_hand = InHand { rows: whole, page: None };
        Ok(rows)
    }

    /// All of the place that a page is at; `None` while it is not all counted.
    async fn read(&self, conn: &mut Conn, page: &mut Page, until: Instant) -> Result<Option<Vec<Digest>>> {
        let place = page.place;
        Ok(Some(match self.list {
            List::Kept => cells::digests(&recount::kept(conn, place).await?),
            List::Counted => {
                let count = page.count.get_or_insert_with(|| recount::Count::of(place));
                let counted = count.go_on(conn, until).await;
                page.touched = Instant::now();
                let Some(counted) = counted? else { return Ok(None) };
                cells::digests(counted)
            }
            List::Sums(_) if place.is_nil() => Vec::new(),
            List::Sums(sums) => {
                let known = Some(place).filter(|place| *place != UNKNOWN);
                let named = known.map(|place| place.to_string()).unwrap_or_default();
                let rows = sums.of_place(conn, known.unwrap_or_default()).await?;
                in_order(rows.into_iter().map(|(rest, value)| Digest::new(format!("{named}|{rest}"), value)))
            }
            List::Due => {
                let cases = digest::due(conn, place).await?;
                in_order(cases.into_iter().map(|(case, due)| Digest::new(case, due)))
            }
        }))
    }

    async fn next(&self, conn: &mut Conn, place: Uuid) -> Result<Option<Uuid>> {
        match self.list {
            List::Kept => recount::next_kept(conn, place).await,
            List::Counted => recount::next_counted(conn, place).await,
            List::Sums(_) if place == UNKNOWN => Ok(None),
            List::Sums(sums) => Ok(sums.next(conn, place).await?.or(Some(UNKNOWN))),
            List::Due => digest::end_of_slice(conn, place).await,
        }
    }
}

impl List {
    /// The place of a key.
    fn place_of(self, key: &str) -> Result<Uuid> {
        let place = match self {
            Self::Due => Some(key),
            _ => key.split_once('|').map(|(place, _)| place),
        };
        match (self, place) {
            (Self::Sums(_), Some("")) => Ok(UNKNOWN),
            (_, Some(place)) => Uuid::parse_str(place).map_err(|_| foreign()),
            (_, None) => Err(foreign()),
        }
    }
}

fn foreign() -> Error {
    Error::invalid("page_token", "is not a token of this list")
}

fn in_order(rows: impl Iterator<Item = Digest>) -> Vec<Digest> {
    let mut rows: Vec<Digest> = rows.collect();
    rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_place() {
        let case = Uuid::from_u128(7);
        assert_eq!(List::Kept.place_of(&format!("{case}|state|x|closed")).unwrap(), case);
        assert_eq!(List::Sums(Listed::State).place_of("|x|closed").unwrap(), UNKNOWN);
        assert_eq!(List::Due.place_of(&case.to_string()).unwrap(), case);
        for key in ["", "nonsense", "x|y"] {
            for list in [List::Counted, List::Sums(Listed::Rollup), List::Due] {
                assert!(list.place_of(key).is_err(), "{key} of {list:?}");
            }
        }
        assert!(List::Kept.place_of("|state|x|closed").is_err(), "cells of no place have the nil one");
    }
}
