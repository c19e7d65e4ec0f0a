//! Words that somebody adds to a case: sealed like the case's own text, with a redacted copy beside. Who said them, when, and
//! at which step follows from the decision that they come with.

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision},
    crypto::Crypto,
};
use uuid::Uuid;

use crate::{
    domain::RemarkKind,
    record::{CaseRecord, NewRemark},
    redact::redact,
};

/// Purpose under which they are sealed.
const REMARK: &str = "case_remark";

/// Words, ready to be stored.
#[derive(Debug, Clone)]
pub struct Words {
    id: Uuid,
    kind: RemarkKind,
    redacted: String,
    sealed: Vec<u8>,
}

impl Words {
    /// Of a text; none of an empty one.
    pub fn of(crypto: &Crypto, kind: RemarkKind, text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let id = new_id();
        let sealed = crypto.seal(REMARK, text.as_bytes(), id.as_bytes());
        Some(Self { id, kind, redacted: redact(text), sealed })
    }
}

/// The text of words that were sealed under an id.
///
/// # Errors
/// When it was sealed by a key that is gone.
pub fn open(crypto: &Crypto, id: Uuid, sealed: &[u8]) -> Result<String> {
    String::from_utf8(crypto.open(REMARK, sealed, id.as_bytes())?).map_err(Error::internal)
}

/// A command, and what is said with it.
pub struct Saying<C> {
    pub command: C,
    pub words: Option<Words>,
}

impl<C: Decide<CaseRecord>> Decide<CaseRecord> for Saying<C> {
    fn decide(
        &self,
        current: Option<&CaseRecord>,
        by: &Caller,
        now: Timestamp,
    ) -> Result<Decision<CaseRecord>> {
        let mut decision = self.command.decide(current, by, now)?;
        if let Some(Words { id, kind, redacted, sealed }) = self.words.clone() {
            let pending = &mut decision.aggregate.pending;
            let step = pending.timeline.last().and_then(|steps| steps.last()).cloned();
            let step = step.ok_or_else(|| Error::internal("words without a step"))?;
            pending.remarks.push(NewRemark { id, kind, redacted, sealed, step });
        }
        Ok(decision)
    }
}
