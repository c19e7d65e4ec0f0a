//! What analytics holds, for `jianghan reconcile`: cases, rollups, what the board is made of, what each case, task and
//! mediation counts, and every cell of the rollups beside its recount.

mod cells;

use std::time::Duration;

use async_trait::async_trait;
use chassis::{
    Error, Result,
    db::Db,
    ops::{Digest, DigestSource},
};
use chrono::NaiveDate;
use uuid::Uuid;

use self::cells::{Cells, Side};
use crate::{
    domain::tally,
    store::{
        digest::{self, RollupKey},
        recount,
    },
};

/// How long cells are counted for one call, which has to be answered within ten seconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// Reads digests.
#[derive(Debug)]
pub struct Digests {
    db: Db,
    kept: Cells,
    counted: Cells,
}

impl Digests {
    /// From this database.
    pub fn new(db: Db) -> Self {
        Self::within(db, PATIENCE)
    }

    /// The same; whatever cannot be counted within such a time is to be asked for again.
    pub fn within(db: Db, time: Duration) -> Self {
        let cells = |side| Cells::new(db.clone(), side, time);
        let (kept, counted) = (cells(Side::Kept), cells(Side::Counted));
        Self { db, kept, counted }
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        match subject {
            "cell" => return self.kept.page(after, limit).await,
            "cell_recount" => return self.counted.page(after, limit).await,
            _ => {}
        }
        let mut conn = self.db.conn().await?;
        match subject {
            "case" => {
                let cases = digest::cases(&mut conn, id(after)?, limit).await?;
                Ok(cases.into_iter().map(|(id, value)| Digest::new(id, value)).collect())
            }
            "case_counts" => {
                let facts = recount::cases(&mut conn, id(after)?, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.case_id, tally::case(fact))).collect())
            }
            "task_counts" => {
                let facts = recount::tasks(&mut conn, id(after)?, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.task_id, tally::task(fact))).collect())
            }
            "mediation_counts" => {
                let facts = recount::mediations(&mut conn, id(after)?, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.mediation_id, tally::mediation(fact))).collect())
            }
            "rollup" => {
                let after = after.map(|key| parse(&key).ok_or_else(foreign)).transpose()?;
                let rollups = digest::rollups(&mut conn, after, limit).await?;
                Ok(rollups.into_iter().map(|(key, value)| Digest::new(text(&key), value)).collect())
            }
            _ => {
                let listed = digest::listed(&mut conn, subject, after, limit).await?;
                Ok(listed.into_iter().map(|(key, value)| Digest::new(key, value)).collect())
            }
        }
    }
}

/// The id that a list by ids goes on behind.
fn id(after: Option<String>) -> Result<Uuid> {
    after.as_deref().map_or(Ok(Uuid::nil()), Uuid::parse_str).map_err(|_| foreign())
}

/// `place|item|day`; the place is empty while it is unknown.
fn text((unit, item, day): &RollupKey) -> String {
    let unit = if unit.is_nil() { String::new() } else { unit.to_string() };
    format!("{unit}|{item}|{day}")
}

fn parse(key: &str) -> Option<RollupKey> {
    let (unit, rest) = key.split_once('|')?;
    let (item, day) = rest.rsplit_once('|')?;
    let unit = if unit.is_empty() { Uuid::nil() } else { Uuid::parse_str(unit).ok()? };
    Some((unit, item.to_owned(), day.parse::<NaiveDate>().ok()?))
}

fn foreign() -> Error {
    Error::invalid("page_token", "is not a token of this list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text() {
        for unit in [Uuid::nil(), Uuid::from_u128(7)] {
            for item in ["", "roof.leak", "a|b"] {
                let key = (unit, item.to_owned(), "2026-11-24".parse().unwrap());
                assert_eq!(parse(&text(&key)), Some(key));
            }
        }
        assert_eq!(parse("nonsense"), None);
    }
}
