//! The worker's own verbs as commands of the executor.

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{Decide, Decision},
    update,
};

use crate::{
    domain::{Assignment, Step, assignment::KIND},
    emit,
};

/// The worker accepts.
#[derive(Debug, Clone, Copy)]
pub struct Accept {
    /// The version it is based on.
    pub etag: Option<i64>,
}

/// The worker has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrive {
    /// The version it is based on.
    pub etag: Option<i64>,
}

/// The worker has finished.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The version it is based on.
    pub etag: Option<i64>,
    /// Minutes worked.
    pub minutes: i32,
    /// References to evidence.
    pub evidence: Vec<String>,
}

impl Decide<Assignment> for Accept {
    fn decide(
        &self,
        current: Option<&Assignment>,
        _: &Caller,
        now: Timestamp,
    ) -> Result<Decision<Assignment>> {
        decided(existing(current, self.etag)?.accept(now)?)
    }
}

impl Decide<Assignment> for Arrive {
    fn decide(
        &self,
        current: Option<&Assignment>,
        _: &Caller,
        now: Timestamp,
    ) -> Result<Decision<Assignment>> {
        decided(existing(current, self.etag)?.arrive(now)?)
    }
}

impl Decide<Assignment> for Finish {
    fn decide(
        &self,
        current: Option<&Assignment>,
        _: &Caller,
        now: Timestamp,
    ) -> Result<Decision<Assignment>> {
        decided(existing(current, self.etag)?.finish(self.minutes, &self.evidence, now)?)
    }
}

/// The assignment in the version that a verb is based on. The executor only gives nothing when an aggregate is to be created,
/// which no verb here does.
fn existing(current: Option<&Assignment>, etag: Option<i64>) -> Result<&Assignment> {
    let current = current.ok_or_else(|| Error::not_found(KIND, ""))?;
    update::fresh(etag, current.version, KIND, current.id)?;
    Ok(current)
}

fn decided((aggregate, fact): Step) -> Result<Decision<Assignment>> {
    let events = vec![emit::of(&aggregate, &fact)];
    Ok(Decision { aggregate, events })
}
