//! What the handlers share: the way of a command from a parsed request to the answer, and of a single case to a reader.

use std::sync::Arc;

use chassis::{
    Clock, Error, Result, RpcResult,
    auth::Caller,
    clock::new_id,
    command::{Executor, ExecutorConfig, Meta, Target},
    crypto::Crypto,
    db::Db,
    proto::case_routing::v1 as pb,
    update,
};
use diesel_async::AsyncPgConnection;
use tonic::{Request, Response};

use super::{convert, parse};
use crate::{
    atlas::{Atlas, World},
    config::Config,
    domain::{self, Act, Case, CaseId, CaseState, Mediation, Original},
    models::Models,
    numbers::Numbers,
    reach,
    record::CaseRecord,
    remark::{Saying, Words},
    store::{
        case_store::CaseStore,
        exchange::tickets::{self, Ticket},
        mediations,
        read::{self, Access},
        remarks::{self, Remark},
    },
    verb::Verb,
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub db: Db,
    pub executor: Executor<CaseStore>,
    pub atlas: Arc<Atlas>,
    pub numbers: Arc<Numbers>,
    pub crypto: Crypto,
    pub clock: Clock,
    /// Days within which duplicates are looked for.
    pub duplicate_days: u16,
    /// The classifier in force.
    pub models: Arc<Models>,
}

/// What every command on a case names.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    pub meta: Meta,
    pub id: CaseId,
    pub etag: Option<i64>,
}

impl Aim {
    /// Of the common fields of a request.
    pub fn new<M: prost::Message>(
        method: &'static str,
        request: &M,
        case_id: &str,
        request_id: &str,
        etag: &str,
    ) -> Result<Self> {
        let id = parse::id("case_id", case_id)?;
        Ok(Self { meta: Meta::new(method, request_id, request)?, id, etag: update::etag(etag)? })
    }
}

/// The [`Aim`] of a request, by the name of its RPC.
macro_rules! aim {
    ($method:literal, $request:ident) => {
        $crate::rpc::desk::Aim::new(
            $method,
            &$request,
            &$request.case_id,
            &$request.request_id,
            &$request.etag,
        )?
    };
}
pub(super) use aim;

impl Desk {
    /// Over the service's database.
    pub fn new(db: Db, config: ExecutorConfig, atlas: Arc<Atlas>, crypto: Crypto, clock: Clock) -> Self {
        let executor = Executor::new(db.clone(), CaseStore::keeping(), config);
        let numbers = Arc::new(Numbers::new(db.clone()));
        let duplicate_days = Config::default().duplicate_days;
        Self { db, executor, atlas, numbers, crypto, clock, duplicate_days, models: Arc::default() }
    }

    /// The caller of a request about cases, with grants that reach what became part of their units, too ([`reach::with_parts`]).
    ///
    /// # Errors
    /// `Unauthenticated` for a public RPC, which has no caller.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller> {
        Ok(reach::with_parts(Caller::of(request)?, &self.atlas.world().topology))
    }

    /// Runs a verb on a case and answers with the case.
    pub async fn run<F, R>(
        &self,
        caller: &Caller,
        aim: Aim,
        run: F,
        wrap: impl Fn(Option<pb::Case>) -> R + Send + Sync + 'static,
    ) -> RpcResult<R>
    where
        F: Fn(Case, Act<'_>, &Caller) -> domain::Result<domain::Decision> + Send + Sync + 'static,
        R: prost::Message + Default + 'static,
    {
        self.say(caller, aim, None, run, wrap).await
    }

    /// Runs a verb that comes with words, or without.
    pub async fn say<F, R>(
        &self,
        caller: &Caller,
        aim: Aim,
        words: Option<Words>,
        run: F,
        wrap: impl Fn(Option<pb::Case>) -> R + Send + Sync + 'static,
    ) -> RpcResult<R>
    where
        F: Fn(Case, Act<'_>, &Caller) -> domain::Result<domain::Decision> + Send + Sync + 'static,
        R: prost::Message + Default + 'static,
    {
        let world = self.atlas.world();
        let verb = Saying { command: Verb::new(world.clone(), aim.id, aim.etag, run), words };
        let answer = move |record: &CaseRecord| wrap(Some(told(record, &world)));
        let answer =
            Executor::execute(&self.executor, caller, aim.meta, aim.id, Target::Existing, verb, answer)
                .await?;
        Ok(Response::new(answer))
    }

    /// The case that another was merged into, which the reader of the other need not reach.
    pub async fn original_of(&self, case: &Case) -> Result<Option<CaseRecord>> {
        if case.merged_into.is_none() {
            return Ok(None);
        }
        let mut conn = self.db.conn().await?;
        read::original(&mut conn, case).await
    }

    /// The latest mediation of a dispute.
    pub async fn mediation_of(&self, case: &Case) -> Result<Option<Mediation>> {
        let Some(link) = case.mediation else { return Ok(None) };
        let mut conn = self.db.conn().await?;
        let known = mediations::of_case(&mut conn, case.id).await?;
        Ok(known.into_iter().find(|mediation| mediation.id == link.id))
    }

    /// Where other systems know the case. Most cases have none, and are not asked for.
    pub async fn tickets_of(&self, case: &Case) -> Result<Vec<Ticket>> {
        let referred = case.state == CaseState::HandedOff || !case.returned_lines.is_empty();
        if case.external.is_empty() && !referred {
            return Ok(Vec::new());
        }
        let mut conn = self.db.conn().await?;
        tickets::of_case(&mut conn, case.id).await
    }

    /// What was added to the case. Most cases have nothing, and are not asked for.
    pub async fn remarks_of(&self, case: &Case) -> Result<Vec<Remark>> {
        if case.remarks().0 == 0 {
            return Ok(Vec::new());
        }
        let mut conn = self.db.conn().await?;
        remarks::of_case(&mut conn, case.id).await
    }

    /// What the verbs of a merged case ask of the other; nothing where the caller does not reach the merged one.
    pub async fn original(&self, caller: &Caller, id: CaseId) -> Result<Option<Original>> {
        let mut conn = self.db.conn().await?;
        let found = read::case(&mut conn, id).await?.filter(|record| reach::reaches(&record.case, caller));
        let Some(record) = found else { return Ok(None) };
        drop(conn);
        let original = self.original_of(&record.case).await?;
        let world = self.atlas.world();
        Ok(original.map(|record| Original::of(&record.case, &world.rules, &world.routes)))
    }

    /// A case within the caller's reach.
    ///
    /// # Errors
    /// `NotFound` also when it is out of reach.
    pub async fn find(&self, caller: &Caller, id: CaseId) -> Result<CaseRecord> {
        let mut conn = self.db.conn().await?;
        let found = read::at_hand(&mut conn, self.executor.store(), id).await?;
        let found = found.filter(|record| reach::reaches(&record.case, caller));
        found.ok_or_else(|| Error::not_found("case", id.to_string()))
    }

    /// Records that a reader of a case looks at what it opens to few, and gives back whether they may. Before anything is opened:
    /// who could read it, and who tried to, is known, whatever happens afterwards. In no transaction, which a refusal would undo.
    pub async fn look<T>(
        &self,
        conn: &mut AsyncPgConnection,
        caller: &Caller,
        case_id: CaseId,
        may: Result<T>,
    ) -> Result<T> {
        let access = Access {
            access_id: new_id(),
            case_id,
            person_id: caller.person_id,
            actor_ref: &caller.actor_ref,
            org_id: caller.org_id,
            purpose: &caller.purpose,
            at: self.clock.now(),
            allowed: may.is_ok(),
        };
        read::log_access(conn, &access).await?;
        may
    }
}

/// A case as the answer of a command shows it.
pub fn told(record: &CaseRecord, world: &World) -> pb::Case {
    convert::case(record, world, record.case.updated_at)
}
