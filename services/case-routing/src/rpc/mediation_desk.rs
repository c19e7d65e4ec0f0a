//! What the handlers of mediations share: the way of a command to its answer, parties and texts on their way to be sealed.

use std::collections::HashMap;

use chassis::{
    Error, Result, RpcResult,
    auth::{Caller, Role},
    clock::new_id,
    command::{Executor, ExecutorConfig, Meta, Target},
    proto::case_routing::v1 as pb,
};
use prost::Message;
use tonic::Response;
use uuid::Uuid;

use super::{desk::Desk, discretion::Discretion, mediation_view as view, parse};
use crate::{
    codes,
    docket::{Docket, MediationCommand, SealedText},
    domain::{
        self, Act, CaseId, CourtAnswer, DomainError, Mediation, MediationDecision, MediationId,
        MediationParty, OrgId, PartyKind, PartyNamed,
    },
    reach,
    store::{
        mediations::{self, DocketStore},
        read,
    },
};

/// Purpose under which names, terms and notes are sealed.
const TEXT: &str = "mediation_text";
/// Longest notes and terms, in characters.
const MAX_TEXT: usize = 20_000;

/// The RPCs of mediations.
#[derive(Clone)]
pub struct Mediations {
    pub(super) desk: Desk,
    pub(super) executor: Executor<DocketStore>,
}

/// What every command on a mediation names.
pub(super) struct Aim {
    pub meta: Meta,
    pub case: CaseId,
    pub id: MediationId,
    pub etag: Option<i64>,
}

/// The [`Aim`] of a request, by the name of its RPC.
macro_rules! aim {
    ($method:literal, $request:ident) => {
        $crate::rpc::mediation_desk::Aim {
            meta: Meta::new($method, &$request.request_id, &$request)?,
            case: parse::id("case_id", &$request.case_id)?,
            id: parse::id("mediation_id", &$request.mediation_id)?,
            etag: chassis::update::etag(&$request.etag)?,
        }
    };
}

pub(super) use aim;

/// Runs a verb: the common fields, what is parsed from the rest, and the verb itself. Without the case it is a mediator's, and not for
/// whoever belongs to the organisation complained of.
macro_rules! verb {
    ($self:ident, $request:ident, $method:literal, $response:ident, |$message:ident| $parsed:expr, |$mediation:ident, $act:ident, $by:ident, $value:ident| $run:expr) => {
        verb!(
            $self,
            $request,
            $method,
            $response,
            |$message| $parsed,
            |$mediation, case, $act, $by, $value| {
                unbiased(case, $by)?;
                $run
            }
        )
    };
    ($self:ident, $request:ident, $method:literal, $response:ident, |$message:ident| $parsed:expr, |$mediation:ident, $case:ident, $act:ident, $by:ident, $value:ident| $run:expr) => {{
        let caller = $self.desk.caller(&$request)?;
        let $message = $request.into_inner();
        let aim = aim!($method, $message);
        let $value = $parsed;
        $self
            .run(
                &caller,
                aim,
                Vec::new(),
                move |$mediation: Mediation, $case: &domain::Case, $act: &Act<'_>, $by: &Caller| $run,
                |mediation| pb::$response { mediation },
            )
            .await
    }};
}

pub(super) use verb;

/// The person who acts for themselves: a resident, and whoever is a party, whatever office they hold besides.
pub(super) fn own(by: &Caller, mediation: &Mediation) -> Option<Uuid> {
    (by.is_self_only() || mediation.has_party(by.person_id)).then_some(by.person_id)
}

/// Lets whoever acts for themselves do so for no organisation: theirs would tell who they are where a party is not named.
pub(super) fn for_oneself(mut act: Act<'_>, oneself: bool) -> Act<'_> {
    if oneself {
        act.by.org = None;
    }
    act
}

/// Whether the caller is a mediator or of the committee of the case's place, and no organisation of theirs is a party.
pub(super) fn of_place(by: &Caller, case: &domain::Case, mediation: &Mediation) -> bool {
    let here = by.scopes.iter().any(|scope| {
        matches!(scope.role, Role::Mediator | Role::CommitteeMember)
            && case.place.path.iter().any(|unit| unit.0 == scope.unit_id)
    });
    let orgs = reach::own_orgs(by);
    let concerned = |party: &MediationParty| party.org.is_some_and(|org| orgs.contains(&org.0));
    here && !mediation.parties.iter().any(concerned)
}

/// A party of a request.
pub(super) fn party_number(number: i32) -> Result<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::invalid("party_number", "1 is the first party"))
}

/// Words that will be sealed.
pub(super) fn text(field: &str, text: &str, required: bool) -> Result<()> {
    let length = text.chars().count();
    if length > MAX_TEXT || (required && text.trim().is_empty()) || text.contains('\0') {
        let least = if required { "1–" } else { "at most " };
        return Err(Error::invalid(field, format!("must have {least}{MAX_TEXT} characters, without NUL")));
    }
    Ok(())
}

/// The court's number of a matter.
pub(super) fn court_ref(text: &str) -> Result<Option<String>> {
    if text.is_empty() { Ok(None) } else { parse::reference("court_ref", text).map(Some) }
}

impl Mediations {
    /// Over the service's database. Mediations are rare: one writer is enough.
    pub fn new(desk: Desk) -> Self {
        let config = ExecutorConfig { writers: 1, ..ExecutorConfig::default() };
        Self { executor: Executor::new(desk.db.clone(), DocketStore, config), desk }
    }

    /// Runs a verb and answers with the mediation.
    pub(super) async fn run<F, R>(
        &self,
        caller: &Caller,
        aim: Aim,
        texts: Vec<SealedText>,
        run: F,
        wrap: impl Fn(Option<pb::Mediation>) -> R + Send + Sync + 'static,
    ) -> RpcResult<R>
    where
        F: Fn(Mediation, &domain::Case, &Act<'_>, &Caller) -> domain::Result<MediationDecision>
            + Send
            + Sync
            + 'static,
        R: Message + Default + 'static,
    {
        let id = aim.id;
        let missing = || DomainError::Invalid { field: "mediation_id", message: "no such mediation".into() };
        let run = move |known: Option<Mediation>, case: &domain::Case, act: Act<'_>, by: &Caller| {
            run(known.ok_or_else(missing)?, case, &act, by)
        };
        let command = MediationCommand::new(self.desk.atlas.world(), id, aim.etag, texts, run);
        let by = caller.clone();
        let answer = move |docket: &Docket| wrap(told(docket, id, &by));
        let target = Target::Existing;
        let answer = self.executor.execute(caller, aim.meta, aim.case, target, command, answer).await?;
        Ok(Response::new(answer))
    }

    pub(super) fn seal(&self, mediation_id: MediationId, plain: &[u8]) -> SealedText {
        let text_id = new_id();
        let sealed = self.desk.crypto.seal(TEXT, plain, text_id.as_bytes());
        SealedText { text_id, mediation_id, sealed }
    }

    /// The parties of a request: what is public, and the rest sealed.
    pub(super) fn parties(
        &self,
        id: MediationId,
        entries: &[pb::PartyEntry],
        caller: &Caller,
    ) -> Result<(Vec<PartyNamed>, Vec<SealedText>)> {
        if !(2..=20).contains(&entries.len()) {
            return Err(Error::invalid("parties", "a dispute has 2–20 parties"));
        }
        let (mut parties, mut texts) = (Vec::new(), Vec::new());
        for (number, entry) in entries.iter().enumerate() {
            let field = |name: &str| format!("parties[{number}].{name}");
            let kind = parse::word(&field("kind"), entry.kind, codes::party_kind_from, None)?;
            let mut person: Option<Uuid> = parse::optional_id(&field("person_id"), &entry.person_id)?;
            let org: Option<OrgId> = parse::optional_id(&field("org_id"), &entry.org_id)?;
            // Whoever applies for themselves is the first party.
            if number == 0 && caller.is_self_only() {
                person = Some(caller.person_id);
            }
            if kind == PartyKind::Person && org.is_some() {
                return Err(Error::invalid(field("org_id"), "a person is no organisation"));
            }
            if kind == PartyKind::Organization && person.is_some() {
                return Err(Error::invalid(field("person_id"), "an organisation is no person"));
            }
            if org.is_some_and(|org| self.desk.atlas.world().routes.org(org).is_none()) {
                return Err(Error::invalid(field("org_id"), "no such organisation"));
            }
            for (name, value, most) in [("name", &entry.name, 100), ("contact", &entry.contact, 200)] {
                if value.chars().count() > most || value.chars().any(char::is_control) {
                    let message = format!("at most {most} characters, none of them a control character");
                    return Err(Error::invalid(field(name), message));
                }
            }
            let known = org.is_some() || person == Some(caller.person_id);
            if entry.name.trim().is_empty() && !known {
                return Err(Error::invalid(field("name"), "say who it is"));
            }
            let words =
                pb::RevealedParty { number: 0, name: entry.name.clone(), contact: entry.contact.clone() };
            let sealed =
                (words != pb::RevealedParty::default()).then(|| self.seal(id, &words.encode_to_vec()));
            parties.push(PartyNamed { kind, person, org, text_id: sealed.as_ref().map(|text| text.text_id) });
            texts.extend(sealed);
        }
        Ok((parties, texts))
    }

    /// A mediation of a case within the caller's reach.
    pub(super) async fn find(&self, caller: &Caller, case: CaseId, id: MediationId) -> Result<Docket> {
        let mut conn = self.desk.db.conn().await?;
        let missing = || Error::not_found("case", case.to_string());
        let record = read::case(&mut conn, case).await?.ok_or_else(missing)?;
        let mediations = mediations::of_case(&mut conn, case).await?;
        let docket = Docket { case: record, mediations, texts: Vec::new() };
        if !docket.reached(caller) {
            return Err(missing());
        }
        match docket.mediation(id) {
            Some(_) => Ok(docket),
            None => Err(Error::not_found("mediation", id.to_string())),
        }
    }

    /// Opens a sealed text; empty where there is none.
    pub(super) fn open(&self, id: Option<Uuid>, sealed: &HashMap<Uuid, Vec<u8>>) -> Result<Vec<u8>> {
        let Some((id, sealed)) = id.and_then(|id| Some((id, sealed.get(&id)?))) else {
            return Ok(Vec::new());
        };
        self.desk.crypto.open(TEXT, sealed, id.as_bytes())
    }
}

/// A mediation as it is read, also in the answer of a command.
pub(super) fn told(docket: &Docket, id: MediationId, by: &Caller) -> Option<pb::Mediation> {
    let case = &docket.case.case;
    let mediation = view::mediation(docket.mediation(id)?, case.state, &case.case_no);
    Some(Discretion::of(case, by).mediation(mediation))
}

/// `CourtAnswer` from the wire; `None` when unspecified.
pub(super) const fn court_answer_from(word: pb::CourtAnswer) -> Option<CourtAnswer> {
    match word {
        pb::CourtAnswer::Unspecified => None,
        pb::CourtAnswer::Accepted => Some(CourtAnswer::Accepted),
        pb::CourtAnswer::NotAccepted => Some(CourtAnswer::NotAccepted),
        pb::CourtAnswer::Extended => Some(CourtAnswer::Extended),
        pb::CourtAnswer::Confirmed => Some(CourtAnswer::Confirmed),
        pb::CourtAnswer::NotConfirmed => Some(CourtAnswer::NotConfirmed),
    }
}
