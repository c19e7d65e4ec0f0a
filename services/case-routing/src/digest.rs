//! What the service holds, for `jianghan reconcile`: cases and recounts of them (as analytics holds them), tasks signed
//! for (as staffing does), offers (as volunteer-matching does).
//!
//! | subject | key | value |
//! |---|---|---|
//! | `case` | case | state, told version, item, place, delivery mode, closed code |
//! | `rollup` | place, item, day of registration | registered, and of these closed |
//! | `outcome` | place, item | ended cases by closed code, closed ones by delivery mode |
//! | `state` | place, line, state | cases |
//! | `due` | case | the due time that can still be missed, if there is one: what is overdue at any instant follows from it |
//! | `open_due` | place, line, full hour in UTC | such due times |
//! | `task` | task | known; how many assignments are live, of as many as it needs |
//! | `offer` | offer | state; records |
//! | `case_counts`, `task_counts`, `mediation_counts` | its id | what it counts, by what is held of it ([`Tally`]) |

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chassis::{
    Error, Result,
    clock::to_micros,
    db::Db,
    ops::{Digest, DigestSource},
};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    domain::{Case, Mediation, Tally, TaskId},
    store::{
        digests::{self, CaseDigest, Counted, Lived, RollupDigest},
        rows::open_due_at,
    },
};

/// Open cases read at once.
const BATCH: i64 = 1_000;

/// A recount, in the order of its keys.
struct Recount {
    subject: String,
    rows: Arc<Vec<Digest>>,
}

/// Reads digests. A recount is made once, for its first page, and kept for the others.
pub struct Digests {
    db: Db,
    recount: Mutex<Option<Recount>>,
}

impl Digests {
    /// From this database.
    pub fn new(db: Db) -> Self {
        Self { db, recount: Mutex::new(None) }
    }

    async fn recounted(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let mut kept = self.recount.lock().await;
        let rows = match &*kept {
            Some(recount) if after.is_some() && recount.subject == subject => recount.rows.clone(),
            _ => {
                let mut rows = self.recount(subject).await?;
                rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Arc::new(rows)
            }
        };
        let from = after.map_or(0, |after| rows.partition_point(|row| row.key <= after));
        let page: Vec<Digest> =
            rows[from..].iter().take(usize::try_from(limit).unwrap_or(0)).cloned().collect();
        // Nothing is held any longer than somebody reads it.
        *kept = (from + page.len() < rows.len()).then(|| Recount { subject: subject.to_owned(), rows });
        Ok(page)
    }

    async fn recount(&self, subject: &str) -> Result<Vec<Digest>> {
        let mut conn = self.db.conn().await?;
        Ok(match subject {
            "rollup" => digests::recount(&mut conn).await?.iter().map(rollup).collect(),
            "outcome" => digests::outcomes(&mut conn).await?.into_iter().map(counted).collect(),
            "state" => digests::states(&mut conn).await?.into_iter().map(counted).collect(),
            _ => {
                let (mut due, mut after) = (Due::default(), Uuid::nil());
                loop {
                    let cases = digests::open_cases(&mut conn, after, BATCH).await?;
                    let Some(last) = cases.last() else { break };
                    after = last.id.0;
                    cases.iter().for_each(|case| due.add(case));
                }
                if subject == "due" { due.cases } else { due.hours() }
            }
        })
    }
}

/// Due times that can still be missed.
#[derive(Default)]
struct Due {
    cases: Vec<Digest>,
    hours: BTreeMap<String, u64>,
}

impl Due {
    fn add(&mut self, case: &Case) {
        let Some(at) = open_due_at(case).map(to_micros) else { return };
        self.cases.push(Digest::new(case.id, at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()));
        let line = case.item.as_ref().and_then(|item| item.line.as_deref()).unwrap_or_default();
        let key = format!("{}|{line}|{}", case.place.unit, at.format("%Y-%m-%dT%HZ"));
        *self.hours.entry(key).or_default() += 1;
    }

    fn hours(self) -> Vec<Digest> {
        self.hours.into_iter().map(|(key, count)| Digest::new(key, format!("count={count}"))).collect()
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if matches!(subject, "rollup" | "outcome" | "state" | "due" | "open_due") {
            return self.recounted(subject, after, limit).await;
        }
        let after = after.as_deref().map_or(Ok(Uuid::nil()), Uuid::parse_str);
        let after = after.map_err(|_| Error::invalid("page_token", "is not a token of this list"))?;
        let mut conn = self.db.conn().await?;
        Ok(match subject {
            "case_counts" => {
                let counts = |Lived { case, life, untold }: &Lived| {
                    Digest::new(case.id, Tally::of_case(case, life, *untold).to_string())
                };
                digests::lived(&mut conn, after, limit).await?.iter().map(counts).collect()
            }
            "task_counts" => {
                let (tasks, cases) = digests::lived_tasks(&mut conn, after, limit).await?;
                let counts = |(task, of): &(TaskId, Uuid)| {
                    let tally = cases.get(of).map(|of| Tally::of_task(&of.case, *task, &of.life));
                    Digest::new(task, tally.unwrap_or_default().to_string())
                };
                tasks.iter().map(counts).collect()
            }
            "mediation_counts" => {
                let counts = |one: &Mediation| Digest::new(one.id, Tally::of_mediation(one).to_string());
                digests::mediations(&mut conn, after, limit).await?.iter().map(counts).collect()
            }
            "case" => digests::cases(&mut conn, after, limit).await?.iter().map(case).collect(),
            "task" => {
                let rows = digests::tasks(&mut conn, after, limit).await?;
                let value = |active| format!("known;active={active}");
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

fn counted(row: Counted) -> Digest {
    Digest::new(row.key, row.value)
}
