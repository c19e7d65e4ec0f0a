//! Words that somebody adds to a case: sealed like the case's own text, with a redacted copy beside. Who said them, when, and
//! at which step follows from the decision that they come with.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision},
    crypto::Crypto,
};
use uuid::Uuid;

use crate::{
    atlas::World,
    domain::{Act, Case, CaseId, OrgId, Party, RemarkKind},
    record::{CaseRecord, NewRemark},
    redact::redact,
    verb::{Verb, acting_for},
};

/// Purpose under which they are sealed.
const REMARK: &str = "case_remark";
/// Characters of a text that another case hears; all of it stands where it was said.
const HEARD: usize = 4_000;

/// Words, ready to be stored.
#[derive(Debug, Clone)]
pub struct Words {
    id: Uuid,
    kind: RemarkKind,
    redacted: String,
    sealed: Vec<u8>,
    /// In which case they were said, where that is another one.
    from: Option<CaseId>,
}

impl Words {
    /// Of a text; none of an empty one.
    pub fn of(crypto: &Crypto, kind: RemarkKind, text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let id = new_id();
        let sealed = crypto.seal(REMARK, text.as_bytes(), id.as_bytes());
        Some(Self { id, kind, redacted: redact(text), sealed, from: None })
    }

    /// What was said in a case that was merged into another, as it stands in the other.
    pub fn heard(crypto: &Crypto, joined: &Case, text: &str) -> Option<Self> {
        let cut = |text: &str| text.chars().take(HEARD).collect::<String>();
        let words = Self::of(crypto, RemarkKind::Joined, &cut(text))?;
        // Redacted before it is cut: half a number is not known as one.
        Some(Self { redacted: cut(&redact(text)), from: Some(joined.id), ..words })
    }
}

/// The original hears what was said in a case that was merged into it: by an official of an organisation, or by somebody whom
/// nobody there has to know.
pub fn heard(
    world: Arc<World>,
    original: CaseId,
    joined: &Case,
    speaker: Option<OrgId>,
    words: Option<Words>,
) -> Box<dyn Decide<CaseRecord>> {
    let (from, complaint) = (joined.id, joined.complaint());
    let hear = move |case: Case, act: Act<'_>, by: &Caller| {
        let act = match speaker {
            Some(org) => acting_for(act, by, Some(org)),
            None => Act { by: Party::system(), ..act },
        };
        case.hear_joined(from, complaint.as_ref(), &act)
    };
    Box::new(Saying { command: Verb::new(world, original, None, hear).on_what_was_found(), words })
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
        if let Some(Words { id, kind, redacted, sealed, from }) = self.words.clone() {
            let pending = &mut decision.aggregate.pending;
            let step = pending.timeline.last().and_then(|steps| steps.last()).cloned();
            let step = step.ok_or_else(|| Error::internal("words without a step"))?;
            pending.remarks.push(NewRemark { id, kind, redacted, sealed, from, step });
        }
        Ok(decision)
    }
}
