//! A rare command over several tables: the caller writes the transaction, this adds the stored answer.

use super::{
    Meta,
    idempotency::{self, Answer, Key},
};
use crate::{
    Error, Result,
    auth::Caller,
    db::{Db, Origin, Tx, Work},
    telemetry::current_traceparent,
};
use std::sync::Arc;

/// Runs `work` in one transaction together with its events and its answer. Repeated with the same caller, method and
/// request id it answers the same and does nothing; another body under the id is `Invalid { request_id }`.
pub async fn once<R, F>(db: &Db, caller: &Caller, meta: Meta, work: F) -> Result<R>
where
    R: prost::Message + Default,
    for<'r, 'c> F:
        AsyncFnOnce(&'r mut Tx<'c>) -> Result<R> + Work<&'r mut Tx<'c>, Result<R>, Fut: Send> + Send,
{
    db.gate().admit().await?;
    let key = Key::new(caller.person_id, &meta);
    if let Some(answer) = stored(db, &key, &meta).await? {
        return Ok(answer);
    }
    let origin = Origin {
        correlation_id: meta.request_id,
        causation_id: None,
        actor_ref: Some(caller.actor_ref.clone()),
        traceparent: current_traceparent(),
    };
    let outcome = db
        .transaction(async |tx: &mut Tx<'_>| {
            tx.set_origin(Some(Arc::new(origin)));
            let answer = work(tx).await?;
            let row = Answer { key, fingerprint: meta.fingerprint, encoded: answer.encode_to_vec() };
            idempotency::insert(&*tx.conn, db.crypto(), &[row]).await?;
            Ok(answer)
        })
        .await;
    match outcome {
        Ok(answer) => {
            db.count_commands(1);
            Ok(answer)
        }
        // The same request may have been carried out meanwhile, by another replica or in a commit whose
        // confirmation was lost.
        Err(error) => match stored(db, &key, &meta).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(error),
            Err(invalid @ Error::Invalid { .. }) => Err(invalid),
            Err(_) => Err(error),
        },
    }
}

/// The answer to a request that was carried out before, for those who have much to do before they call [`once`]; it asks again.
/// Another body under the id is `Invalid { request_id }` here too.
pub async fn answered<R: prost::Message + Default>(
    db: &Db,
    caller: &Caller,
    meta: &Meta,
) -> Result<Option<R>> {
    db.gate().admit().await?;
    stored(db, &Key::new(caller.person_id, meta), meta).await
}

async fn stored<R: prost::Message + Default>(db: &Db, key: &Key, meta: &Meta) -> Result<Option<R>> {
    let conn = db.conn().await?;
    let found = idempotency::find(&conn, &[*key]).await?;
    let Some(answer) = found.get(key) else { return Ok(None) };
    let encoded = answer.open(db.crypto(), key, meta)?;
    Ok(Some(R::decode(encoded.as_slice()).map_err(Error::internal)?))
}
