//! Commands on applications as the executor runs them: one verb of the domain on the papers and the case together.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision},
    db::Origin,
    update,
};
use uuid::Uuid;

use crate::{
    atlas::World,
    benefit_events,
    domain::{
        self, Act, Application, Case, CaseId, DomainError, Filed, Party, PersonRef, Standing,
        SubmitApplication,
    },
    reach,
    record::CaseRecord,
    store::applications::ApplicationRecord,
    verb::{act, decided, party, refused},
};

/// A verb on an application that exists. `run` may be called again when a batch is replayed; it then draws the same ids.
pub struct File<F> {
    pub world: Arc<World>,
    pub seed: Uuid,
    /// The version it is based on.
    pub etag: Option<i64>,
    /// Whoever does it stands nowhere: not in the timeline, not in the event, nor does its trace.
    pub hidden: bool,
    /// The benefit by which it was found as its open re-check, before it was locked: what is decided since is asked for again.
    pub open_of: Option<CaseId>,
    pub id: CaseId,
    pub run: F,
}

impl<F> File<F>
where
    F: Fn(Application, Case, Act<'_>, &Caller) -> domain::Result<Filed> + Send + Sync + 'static,
{
    /// On this application, with fresh ids.
    pub fn new(world: Arc<World>, id: CaseId, etag: Option<i64>, run: F) -> Self {
        Self { world, seed: new_id(), etag, hidden: false, open_of: None, id, run }
    }
}

impl<F> Decide<ApplicationRecord> for File<F>
where
    F: Fn(Application, Case, Act<'_>, &Caller) -> domain::Result<Filed> + Send + Sync + 'static,
{
    fn decide(
        &self,
        current: Option<&ApplicationRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<ApplicationRecord>> {
        let current = current.ok_or_else(|| Error::not_found("application", self.id.to_string()))?;
        let case = &*current.case.case;
        update::fresh(self.etag, case.version, "application", self.id)?;
        let who = if self.hidden {
            Party { actor: PersonRef::anonymous(), org: None, standing: Standing::Requester }
        } else {
            party(Some(case), by)
        };
        let act = act(&self.world, self.seed, who, now);
        let filed = (self.run)(current.application.clone(), case.clone(), act, by);
        let filed = filed.map_err(|error| {
            let decided = matches!(error, DomainError::Guard { code: "application_state", .. });
            match self.open_of.filter(|_| decided) {
                Some(benefit) => Error::stale("benefit", benefit),
                None => refused(self.id, error),
            }
        })?;
        let mut decision = recorded(Some(&current.case), filed, by);
        if self.hidden {
            // Neither the request nor the trace: both begin where the caller signed in.
            let cause = Arc::new(Origin { traceparent: None, ..Origin::new(None) });
            let events = decision.events.into_iter();
            decision.events = events.map(|emit| emit.with_origin(cause.clone())).collect();
        }
        Ok(decision)
    }
}

/// An application comes into being, with its case.
pub struct Submit {
    pub world: Arc<World>,
    pub seed: Uuid,
    pub command: SubmitApplication,
    pub sealed_text: Vec<u8>,
}

impl Decide<ApplicationRecord> for Submit {
    fn decide(
        &self,
        _current: Option<&ApplicationRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<ApplicationRecord>> {
        let mut who = party(None, by);
        if by.is_self_only() {
            who.actor = PersonRef(reach::requester_ref(by.person_id));
        }
        let act = act(&self.world, self.seed, who, now);
        let id = self.command.register.case_id;
        let filed = Application::submit(self.command.clone(), &act).map_err(|error| refused(id, error))?;
        let mut decision = recorded(None, filed, by);
        decision.aggregate.case.pending.sealed_text = Some(self.sealed_text.clone());
        Ok(decision)
    }
}

/// The papers, the record of their case and the events after a decision.
pub fn recorded(current: Option<&CaseRecord>, filed: Filed, by: &Caller) -> Decision<ApplicationRecord> {
    let Filed { application, decision, notice, benefit } = filed;
    let Decision { aggregate: mut case, mut events } = decided(current, decision, by);
    if notice.is_some() {
        case.pending.notice = notice;
    }
    if let Some(change) = benefit {
        events.push(benefit_events::emit(&change, &case.case));
        case.pending.benefit = Some(change);
    }
    Decision { aggregate: ApplicationRecord { case, application }, events }
}

/// Nobody looks into, sums up or decides what they applied for themselves (回避).
pub fn impartial(case: &Case, by: &Caller) -> domain::Result<()> {
    if reach::is_requester(case, by) { Err(DomainError::NotEntitled { code: "recused" }) } else { Ok(()) }
}
