//! Whether a referral gets through, and what is passed on to who took it, is for its case to know: when it is given up, or its system
//! does not take it for long, somebody is reminded, and no more once it arrived. Cases are locked before their tickets are.

use std::sync::Arc;

use chassis::{
    Result,
    auth::Caller,
    command::{AggregateStore, Commands, Executor},
    db::Tx,
};

use crate::{
    atlas::World,
    domain::{Act, Case, CaseId},
    rpc::Desk,
    store::{case_store::CaseStore, exchange::referrals},
    verb::Verb,
};

/// Tells cases of it.
pub struct Undelivered<'a> {
    pub executor: &'a Executor<CaseStore>,
    pub world: Arc<World>,
    pub by: &'a Caller,
}

impl<'a> Undelivered<'a> {
    /// For whoever asks.
    pub fn of(desk: &'a Desk, by: &'a Caller) -> Self {
        Self { executor: &desk.executor, world: desk.atlas.world(), by }
    }

    /// Locks cases. Gives those of which somebody is reminded that a referral does not get through.
    pub async fn lock(&self, tx: &mut Tx<'_>, cases: &[CaseId]) -> Result<Vec<CaseId>> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let locked = self.executor.store().load(&*tx.conn, cases).await?;
        let reminded = locked.into_values().filter(|record| record.case.is_undelivered());
        Ok(reminded.map(|record| record.case.id).collect())
    }

    /// A referral of the case is given up; nobody knows that it is there.
    pub async fn given_up(&self, tx: &mut Tx<'_>, case: CaseId, system: &str) -> Result<()> {
        self.tell(tx, case, system, false).await
    }

    /// A referral of the case waits in vain for its system to take it, and goes on waiting.
    pub async fn waits(&self, tx: &mut Tx<'_>, case: CaseId, system: &str) -> Result<()> {
        self.tell(tx, case, system, true).await
    }

    async fn tell(&self, tx: &mut Tx<'_>, case: CaseId, system: &str, waits: bool) -> Result<()> {
        let system = system.to_owned();
        let hears =
            move |case: Case, act: Act<'_>, _: &Caller| case.referral_undelivered(&system, waits, &act);
        let verb = Verb::new(self.world.clone(), case, None, hears);
        let commands: Commands<CaseStore> = vec![(case, Box::new(verb))];
        self.executor.apply(tx, self.by, commands).await?;
        Ok(())
    }

    /// Referrals of these cases arrived, as their tickets say by now. One of which another is given up still is reminded of that.
    pub async fn arrived(&self, tx: &mut Tx<'_>, cases: &[CaseId]) -> Result<()> {
        for case in cases {
            if referrals::has_outstanding(tx.conn, *case).await? {
                continue;
            }
            let hears = |case: Case, act: Act<'_>, _: &Caller| case.referral_arrived(&act);
            let verb = Verb::new(self.world.clone(), *case, None, hears);
            let commands: Commands<CaseStore> = vec![(*case, Box::new(verb))];
            self.executor.apply(tx, self.by, commands).await?;
        }
        Ok(())
    }
}
