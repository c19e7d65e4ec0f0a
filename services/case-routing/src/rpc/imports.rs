//! `ImportService`: cases of other systems, a batch at a time.

use std::collections::HashSet;

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::{new_id, to_proto},
    command::{Meta, answered, once},
    db::{Db, Tx},
    proto::case_routing::v1::{self as pb, import_service_server::ImportService},
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{desk::Desk, parse};
use crate::{
    atlas::World,
    importing::{self, Reader, Ready, Row, Sorted},
    store::{exchange::changes, imports, points, repeats, retention, write},
};

/// Cases of one call.
const MOST: usize = 2_000;

/// The RPCs.
#[derive(Clone)]
pub struct Imports(pub Desk);

/// A batch before it is stored.
struct Batch {
    import_id: Uuid,
    source: String,
    ready: Vec<Ready>,
    duplicates: Vec<usize>,
    problems: Vec<pb::ImportProblem>,
}

#[tonic::async_trait]
impl ImportService for Imports {
    async fn import_cases(
        &self,
        request: Request<pb::ImportCasesRequest>,
    ) -> RpcResult<pb::ImportCasesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::of("ImportCases", &request, |request| &request.request_id)?;
        let import_id = parse::id("import_id", &request.import_id)?;
        let source = parse::code("source", &request.source)?;
        if request.cases.is_empty() || request.cases.len() > MOST {
            return Err(Error::invalid("cases", "has 1–2000 entries").into());
        }
        let validate_only = request.validate_only;
        // Reading the rows is most of the work, which a repeat is spared.
        if !validate_only && let Some(answer) = answered(&self.0.db, &caller, &meta).await? {
            return Ok(Response::new(answer));
        }
        let batch = self.prepare(&caller, request, import_id, source).await?;
        if validate_only {
            return Ok(Response::new(batch.answer()));
        }
        let db = self.0.db.clone();
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| store(tx, db, batch).await);
        Ok(Response::new(answer.await?))
    }

    async fn get_import(&self, request: Request<pb::GetImportRequest>) -> RpcResult<pb::GetImportResponse> {
        let import_id: Uuid = parse::id("import_id", &request.get_ref().import_id)?;
        let sum = imports::sum(&mut *self.0.db.conn().await?, import_id).await?;
        let sum = sum.ok_or_else(|| Error::not_found("import", import_id))?;
        let import = pb::Import {
            import_id: import_id.to_string(),
            source: sum.source,
            batch_count: i32::try_from(sum.batches).unwrap_or(i32::MAX),
            imported_count: sum.imported,
            duplicate_count: sum.duplicates,
            problem_count: sum.problems,
            unindexed_count: sum.unindexed,
            first_time: Some(to_proto(sum.first)),
            last_time: Some(to_proto(sum.last)),
        };
        Ok(Response::new(pb::GetImportResponse { import: Some(import) }))
    }
}

impl Imports {
    /// Everything that can be said before the transaction: most of the work, on threads of its own. It takes nothing that a
    /// batch which is not stored would waste.
    async fn prepare(
        &self,
        caller: &Caller,
        request: pb::ImportCasesRequest,
        import_id: Uuid,
        source: String,
    ) -> Result<Batch> {
        let (desk, world) = (self.0.clone(), self.0.atlas.world());
        let Sorted { mut rows, mut problems } =
            on_own_thread(desk, world, caller.clone(), source.clone(), move |reader| {
                reader.read(&request.cases)
            })
            .await?;
        let mut conn = self.0.db.conn().await?;
        let keys: Vec<&[u8]> = rows.iter().flat_map(Row::keys).collect();
        let known: HashSet<Vec<u8>> = imports::known(&mut conn, &keys).await?.into_iter().collect();
        drop(conn);
        let mut duplicates = Vec::new();
        rows.retain(|row| {
            let again = row.keys().any(|key| known.contains(key));
            if again {
                duplicates.push(row.index);
            }
            !again
        });
        let (desk, world) = (self.0.clone(), self.0.atlas.world());
        let (ready, duplicates, problems) =
            on_own_thread(desk, world, caller.clone(), source.clone(), move |reader| {
                let ready = reader.make(rows, &mut duplicates, &mut problems);
                (ready, duplicates, problems)
            })
            .await?;
        Ok(Batch { import_id, source, ready, duplicates, problems })
    }
}

async fn on_own_thread<T: Send + 'static>(
    desk: Desk,
    world: std::sync::Arc<World>,
    caller: Caller,
    source: String,
    work: impl FnOnce(&Reader<'_>) -> T + Send + 'static,
) -> Result<T> {
    let run = move || {
        let now = desk.clock.now();
        let hidden = |person: Uuid| desk.hidden(&Caller { person_id: person, ..caller.clone() }).person_id;
        work(&Reader {
            world: &world,
            crypto: &desk.crypto,
            hidden: &hidden,
            caller: &caller,
            source: &source,
            now,
        })
    };
    tokio::task::spawn_blocking(run).await.map_err(Error::task)
}

impl Batch {
    fn answer(mut self) -> pb::ImportCasesResponse {
        self.duplicates.sort_unstable();
        self.problems.sort_by_key(|problem| problem.index);
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        pb::ImportCasesResponse {
            imported_count: count(self.ready.len()),
            duplicates: self.duplicates.into_iter().map(count).collect(),
            problems: self.problems,
        }
    }
}

/// Cases, their rows, the ledger and the event. Words are noted later ([`crate::indexer`]). `db` gives the numbers, beside
/// the transaction: others who take numbers of the same days do not wait for its end.
async fn store(tx: &mut Tx<'_>, db: Db, mut batch: Batch) -> Result<pb::ImportCasesResponse> {
    let keys =
        batch.ready.iter().flat_map(|ready| ready.keys().map(move |key| (key, ready.case().id))).collect();
    let free: HashSet<Vec<u8>> = imports::claim(tx.conn, keys).await?.into_iter().collect();
    // Somebody else brought the others meanwhile, by whichever key.
    let (mut ready, late): (Vec<_>, Vec<_>) =
        batch.ready.into_iter().partition(|ready| ready.keys().all(|key| free.contains(key)));
    let unused: Vec<&[u8]> = late.iter().flat_map(Ready::keys).filter(|key| free.contains(*key)).collect();
    if !unused.is_empty() {
        imports::release(tx.conn, &unused).await?;
    }
    batch.duplicates.extend(late.iter().map(|late| late.index));
    let days = importing::numbers_of(&ready);
    if !days.is_empty() {
        let mut conn = db.conn().await?;
        importing::number(&mut ready, imports::take_numbers(&mut conn, &days).await?);
    }
    let batch_id = new_id();
    let entry = imports::Batch {
        batch_id,
        import_id: batch.import_id,
        source: &batch.source,
        imported: ready.len(),
        duplicates: batch.duplicates.len(),
        problems: batch.problems.len(),
        unindexed: ready
            .iter()
            .map(Ready::case)
            .filter(|case| case.text_ref.is_some())
            .map(|case| case.id.0)
            .collect(),
    };
    imports::enter(tx.conn, &entry).await?;
    let imported = ready.len();
    let (mut changes, told): (Vec<_>, Vec<_>) = ready.into_iter().map(Ready::split).unzip();
    let conn = &*tx.conn;
    let repeats = repeats::mark(conn, &mut changes).await?;
    futures::try_join!(
        write::cases(conn, &changes),
        retention::save(conn, &changes),
        write::history(conn, &changes),
        points::save(conn, &changes),
    )?;
    // After the rest: what the import hands off is referred to whoever takes the line.
    changes::save(conn, &changes).await?;
    if !told.is_empty() {
        tx.emit(importing::event(batch_id, batch.import_id, &told, &repeats));
    }
    batch.ready = Vec::new();
    let answer = batch.answer();
    Ok(pb::ImportCasesResponse { imported_count: i32::try_from(imported).unwrap_or(i32::MAX), ..answer })
}
