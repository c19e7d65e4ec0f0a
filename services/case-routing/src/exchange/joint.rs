//! The case of a ticket together with the one that it was merged into (并单), where the matter is worked on: that one says how it
//! stands, and hears what is pushed.

use chassis::{Error, Result, command::AggregateStore, db::Tx};

use crate::{
    domain::CaseId,
    record::CaseRecord,
    store::{case_store::CaseStore, read},
};

/// See the module.
pub struct Joint {
    pub own: CaseRecord,
    /// Unset while its own is merged into none.
    pub original: Option<CaseRecord>,
}

impl Joint {
    /// Both of them, locked in the order of their ids as everything locks them.
    ///
    /// # Errors
    /// `Stale` where the case was merged or taken out between the look and the lock.
    pub async fn lock(tx: &mut Tx<'_>, id: CaseId) -> Result<Self> {
        let missing = || Error::internal("a ticket without its case");
        let seen = read::case(tx.conn, id).await?.ok_or_else(missing)?.case;
        let original = read::original(tx.conn, &seen).await?.map(|record| record.case.id);
        let ids: Vec<CaseId> = [id].into_iter().chain(original).collect();
        let mut locked = CaseStore::default().load(&*tx.conn, &ids).await?;
        let own = locked.remove(&id).ok_or_else(missing)?;
        let original = original.and_then(|original| locked.remove(&original));
        let moved = original.as_ref().is_some_and(|original| original.case.merged_into.is_some());
        if moved || own.case.merged_into != seen.merged_into {
            return Err(Error::stale(CaseStore::KIND, id));
        }
        Ok(Self { own, original })
    }
}
