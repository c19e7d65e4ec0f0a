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
//! | `offer` | offer | state; records, unless the parties agreed without a word of the partner |
//! | `case_counts`, `task_counts`, `mediation_counts` | its id | what it counts, by what is held of it ([`Tally`]) |

mod recount;

use std::sync::Arc;

use async_trait::async_trait;
use chassis::{
    Result,
    db::Db,
    ops::{Digest, DigestSource, after_id, not_held},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::recount::Portions;
use self::recount::{Of, Recounts};
use crate::{
    domain::{Mediation, Tally, TaskId},
    store::digests::{self, CaseDigest, Lived},
};

/// Reads digests.
#[derive(Clone)]
pub struct Digests {
    db: Db,
    recounts: Arc<Recounts>,
}

impl Digests {
    /// From this database.
    pub fn new(db: Db) -> Self {
        Self::with(db, Portions::default())
    }

    /// The same, so much at once.
    pub fn with(db: Db, portions: Portions) -> Self {
        Self { recounts: Arc::new(Recounts::new(db.clone(), portions)), db }
    }

    /// Lets go of recounts that nobody asks for any more, until `stop`.
    ///
    /// # Errors
    /// None.
    pub async fn let_go(self, stop: CancellationToken) -> Result<()> {
        self.recounts.let_go(&stop).await;
        Ok(())
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if let Some(of) = Of::subject(subject) {
            return self.recounts.page(of, after.as_deref(), limit).await;
        }
        let after = after_id(after.as_deref())?;
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
                let value = |state: &str| match state {
                    // Whether the partner has added its hours is not known here.
                    "settled" => "completed;records=?".to_owned(),
                    _ => format!("{state};records={}", u8::from(state == "completed")),
                };
                rows.into_iter().map(|row| Digest::new(row.offer_id, value(&row.state))).collect()
            }
            _ => return Err(not_held()),
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
