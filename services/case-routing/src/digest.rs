//! What the service holds, for `jianghan reconcile`: cases and a recount of them (as analytics holds them), tasks with
//! assignments (as staffing does), offers (as volunteer-matching does).

use std::sync::Arc;

use async_trait::async_trait;
use chassis::{
    Error, Result,
    db::Db,
    ops::{Digest, DigestSource},
};
use chrono::NaiveDate;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::store::digests::{self, CaseDigest, RollupDigest};

type RollupKey = (Uuid, String, NaiveDate);

/// Reads digests. A recount is made once, for its first page, and kept for the others.
pub struct Digests {
    db: Db,
    recount: Mutex<Option<Arc<Vec<RollupDigest>>>>,
}

impl Digests {
    /// From this database.
    pub fn new(db: Db) -> Self {
        Self { db, recount: Mutex::new(None) }
    }

    async fn rollups(&self, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let mut kept = self.recount.lock().await;
        let rows = match (&after, &*kept) {
            (Some(_), Some(rows)) => rows.clone(),
            _ => {
                let mut conn = self.db.conn().await?;
                Arc::new(digests::recount(&mut conn).await?)
            }
        };
        let from = match &after {
            None => 0,
            Some(key) => {
                let key = parse(key).ok_or_else(foreign)?;
                rows.partition_point(|row| {
                    (row.place_unit_id, row.item_code.as_str(), row.day) <= (key.0, key.1.as_str(), key.2)
                })
            }
        };
        let page: Vec<Digest> =
            rows[from..].iter().take(usize::try_from(limit).unwrap_or(0)).map(rollup).collect();
        // Nothing is held any longer than somebody reads it.
        *kept = (from + page.len() < rows.len()).then_some(rows);
        Ok(page)
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if subject == "rollup" {
            return self.rollups(after, limit).await;
        }
        let after = after.as_deref().map_or(Ok(Uuid::nil()), Uuid::parse_str).map_err(|_| foreign())?;
        let mut conn = self.db.conn().await?;
        Ok(match subject {
            "case" => digests::cases(&mut conn, after, limit).await?.iter().map(case).collect(),
            "task" => {
                let rows = digests::tasks(&mut conn, after, limit).await?;
                let value = |active| format!("active={}", u8::from(active));
                rows.into_iter().map(|row| Digest::new(row.task_id, value(row.active))).collect()
            }
            "offer" => {
                let rows = digests::offers(&mut conn, after, limit).await?;
                let value = |state: &str| format!("{state};records={}", u8::from(state == "completed"));
                rows.into_iter().map(|row| Digest::new(row.offer_id, value(&row.state))).collect()
            }
            _ => Vec::new(),
        })
    }
}

fn case(row: &CaseDigest) -> Digest {
    let value = format!(
        "{}|{}|{}|{}|{}|{}",
        row.state,
        row.told_version,
        row.item_code.as_deref().unwrap_or_default(),
        row.place_unit_id,
        row.delivery_mode.as_deref().unwrap_or_default(),
        row.closed_code.as_deref().unwrap_or_default(),
    );
    Digest::new(row.case_id, value)
}

fn rollup(row: &RollupDigest) -> Digest {
    let key = format!("{}|{}|{}", row.place_unit_id, row.item_code, row.day);
    Digest::new(key, format!("registered={};closed={}", row.registered, row.closed))
}

fn parse(key: &str) -> Option<RollupKey> {
    let (unit, rest) = key.split_once('|')?;
    let (item, day) = rest.rsplit_once('|')?;
    Some((Uuid::parse_str(unit).ok()?, item.to_owned(), day.parse().ok()?))
}

fn foreign() -> Error {
    Error::invalid("page_token", "is not a token of this list")
}
