//! Takes in every event of every service: into the log first, then into facts and rollups. The inbox has passed the
//! events already, so each comes once; facts are guarded by version all the same.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, RwLock},
};

use async_trait::async_trait;
use chassis::{Error, Result, db::Tx, event::Event, inbox::Consumer};
use proto::case_routing::v1::{CasesImported, HotspotAnswered};
use uuid::Uuid;

use crate::store;

/// The consumer of analytics.
#[derive(Default)]
pub struct Intake {
    /// Items and lines that are noted already: they hardly ever change.
    items: Arc<RwLock<HashSet<(String, String)>>>,
}

#[async_trait]
impl Consumer for Intake {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let alone = events.iter().any(|event| event.is::<CasesImported>());
        if alone {
            store::event_log::alone(tx.conn).await?;
        }
        store::event_log::append(tx.conn, events).await?;
        for event in events.iter().filter(|event| event.is::<HotspotAnswered>()) {
            note_answer(tx, &event.decode()?).await?;
        }
        let items = store::take_in(tx.conn, events, alone).await?;
        self.note_items(tx, items).await
    }
}

impl Intake {
    async fn note_items(&self, tx: &mut Tx<'_>, items: BTreeSet<(String, String)>) -> Result<()> {
        let known = |key: &(String, String)| self.items.read().is_ok_and(|known| known.contains(key));
        let new: Vec<_> = items.into_iter().filter(|key| !known(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        store::note_items(tx.conn, &new).await?;
        let items = self.items.clone();
        tx.after_commit(Box::new(move || {
            if let Ok(mut known) = items.write() {
                known.extend(new);
            }
        }));
        Ok(())
    }
}

/// Somebody answered a hot spot. It is no sum: a rebuild leaves it alone.
async fn note_answer(tx: &mut Tx<'_>, told: &HotspotAnswered) -> Result<()> {
    let id = Uuid::try_parse(&told.hotspot_id).map_err(Error::internal)?;
    let topic = match told.topic_case_id.as_str() {
        "" => None,
        topic => Some(Uuid::try_parse(topic).map_err(Error::internal)?),
    };
    let reason = Some(told.reason_code.as_str()).filter(|reason| !reason.is_empty());
    store::hotspots::note_answer(tx.conn, id, topic, reason).await
}
