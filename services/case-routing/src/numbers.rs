//! Case numbers for people: `420103-20261124-000123`, counted per district and day. Blocks of them are taken from the
//! database, so that registrations wait neither for it nor for each other; gaps are of no importance.

use std::collections::HashMap;

use chassis::{Result, db::Db};
use chrono::NaiveDate;
use tokio::sync::Mutex;

use crate::store::notes;

/// Numbers taken at once.
const BLOCK: i32 = 100;

/// Gives out case numbers.
pub struct Numbers {
    db: Db,
    /// By district: the day, the next number and the last one of the block.
    blocks: Mutex<HashMap<String, (NaiveDate, i32, i32)>>,
}

impl Numbers {
    /// Out of this database.
    pub fn new(db: Db) -> Self {
        Self { db, blocks: Mutex::new(HashMap::new()) }
    }

    /// The next number of a district's day (in Shanghai).
    ///
    /// # Errors
    /// From the database.
    pub async fn next(&self, district: &str, day: NaiveDate) -> Result<String> {
        let mut blocks = self.blocks.lock().await;
        let block = blocks.entry(district.to_owned()).or_insert((day, 1, 0));
        if block.0 != day || block.1 > block.2 {
            let mut conn = self.db.conn().await?;
            let last = notes::take_numbers(&mut conn, district, day, BLOCK).await?;
            *block = (day, last - BLOCK + 1, last);
        }
        let number = block.1;
        block.1 += 1;
        Ok(format!("{district}-{}-{number:06}", day.format("%Y%m%d")))
    }
}
