//! `MediationService`: the parties of a dispute talk before a mediator; what they agreed on is followed up.

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::{Caller, Role},
    clock::new_id,
    command::{Executor, ExecutorConfig, Meta, Target},
    page,
    proto::case_routing::v1::{self as pb, mediation_service_server::MediationService},
};
use prost::Message;
use tonic::{Request, Response};
use uuid::Uuid;

use super::{desk::Desk, mediation_view as view, parse, tasks};
use crate::{
    codes,
    docket::{Docket, MediationCommand, SealedText},
    domain::{
        self, Act, AgreementKind, AgreementReached, CaseId, CourtAnswer, CourtAnswered, DomainError, Mediation,
        MediationDecision, MediationId, MediationOrigin, OpenMediation, OrgId, PartyKind, PartyNamed,
        Signatures,
    },
    store::{
        list::ReachFilter,
        mediations::{self, DocketStore, MediationFilter},
        read::{self, Access},
    },
};

/// Purpose under which names, terms and notes are sealed.
const TEXT: &str = "mediation_text";
/// Longest notes and terms, in characters.
const MAX_TEXT: usize = 20_000;

/// The RPCs.
#[derive(Clone)]
pub struct Mediations {
    desk: Desk,
    executor: Executor<DocketStore>,
}

/// What every command on a mediation names.
struct Aim {
    meta: Meta,
    case: CaseId,
    id: MediationId,
    etag: Option<i64>,
}

/// The [`Aim`] of a request, by the name of its RPC.
macro_rules! aim {
    ($method:literal, $request:ident) => {
        Aim {
            meta: Meta::new($method, &$request.request_id, &$request)?,
            case: parse::id("case_id", &$request.case_id)?,
            id: parse::id("mediation_id", &$request.mediation_id)?,
            etag: parse::etag(&$request.etag)?,
        }
    };
}

/// Runs a verb: the common fields, what is parsed from the rest, and the verb itself.
macro_rules! verb {
    ($self:ident, $request:ident, $method:literal, $response:ident, |$message:ident| $parsed:expr, |$mediation:ident, $act:ident, $by:ident, $value:ident| $run:expr) => {{
        let caller = Caller::of(&$request)?;
        let $message = $request.into_inner();
        let aim = aim!($method, $message);
        let $value = $parsed;
        $self
            .run(
                &caller,
                aim,
                Vec::new(),
                move |$mediation: Mediation, _taken_up: bool, $act: &Act<'_>, $by: &Caller| $run,
                |mediation| pb::$response { mediation },
            )
            .await
    }};
}

/// The resident who acts for themselves.
fn own(by: &Caller) -> Option<Uuid> {
    by.is_self_only().then_some(by.person_id)
}

fn party_number(number: i32) -> Result<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::invalid("party_number", "1 is the first party"))
}

fn text(field: &str, text: &str, required: bool) -> Result<()> {
    let length = text.chars().count();
    if length > MAX_TEXT || (required && text.trim().is_empty()) || text.contains('\0') {
        let least = if required { "1–" } else { "at most " };
        return Err(Error::invalid(field, format!("must have {least}{MAX_TEXT} characters, without NUL")));
    }
    Ok(())
}

fn court_ref(text: &str) -> Result<Option<String>> {
    if text.is_empty() { Ok(None) } else { parse::reference("court_ref", text).map(Some) }
}

impl Mediations {
    /// Over the service's database. Mediations are rare: one writer is enough.
    pub fn new(desk: Desk) -> Self {
        let config = ExecutorConfig { writers: 1, ..ExecutorConfig::default() };
        Self { executor: Executor::new(desk.db.clone(), DocketStore, config), desk }
    }

    /// Runs a verb and answers with the mediation.
    async fn run<F, R>(
        &self,
        caller: &Caller,
        aim: Aim,
        texts: Vec<SealedText>,
        run: F,
        wrap: impl Fn(Option<pb::Mediation>) -> R + Send + Sync + 'static,
    ) -> RpcResult<R>
    where
        F: Fn(Mediation, bool, &Act<'_>, &Caller) -> domain::Result<MediationDecision> + Send + Sync + 'static,
        R: Message + Default + 'static,
    {
        let id = aim.id;
        let missing = || DomainError::Invalid { field: "mediation_id", message: "no such mediation".into() };
        let run = move |known: Option<Mediation>, case: &domain::Case, act: Act<'_>, by: &Caller| {
            run(known.ok_or_else(missing)?, case.is_taken_up(), &act, by)
        };
        let command = MediationCommand::new(self.desk.atlas.world(), id, aim.etag, texts, run);
        let answer = move |docket: &Docket| wrap(told(docket, id));
        let target = Target::Existing;
        let answer = self.executor.execute(caller, aim.meta, aim.case, target, command, answer).await?;
        Ok(Response::new(answer))
    }

    fn seal(&self, mediation_id: MediationId, plain: &[u8]) -> SealedText {
        let text_id = new_id();
        let sealed = self.desk.crypto.seal(TEXT, plain, text_id.as_bytes());
        SealedText { text_id, mediation_id, sealed }
    }

    /// The parties of a request: what is public, and the rest sealed.
    fn parties(
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
            let words = pb::RevealedParty { number: 0, name: entry.name.clone(), contact: entry.contact.clone() };
            let sealed = (words != pb::RevealedParty::default()).then(|| self.seal(id, &words.encode_to_vec()));
            parties.push(PartyNamed { kind, person, org, text_id: sealed.as_ref().map(|text| text.text_id) });
            texts.extend(sealed);
        }
        Ok((parties, texts))
    }

    /// A mediation of a case within the caller's reach.
    async fn find(&self, caller: &Caller, case: CaseId, id: MediationId) -> Result<Docket> {
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
    fn open(&self, id: Option<Uuid>, sealed: &std::collections::HashMap<Uuid, Vec<u8>>) -> Result<Vec<u8>> {
        let Some((id, sealed)) = id.and_then(|id| Some((id, sealed.get(&id)?))) else { return Ok(Vec::new()) };
        self.desk.crypto.open(TEXT, sealed, id.as_bytes())
    }
}

fn told(docket: &Docket, id: MediationId) -> Option<pb::Mediation> {
    let case = &docket.case.case;
    docket.mediation(id).map(|mediation| view::mediation(mediation, case.state, &case.case_no))
}

#[tonic::async_trait]
impl MediationService for Mediations {
    async fn open_mediation(
        &self,
        request: Request<pb::OpenMediationRequest>,
    ) -> RpcResult<pb::OpenMediationResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("OpenMediation", &request.request_id, &request)?;
        let case_id: CaseId = parse::id("case_id", &request.case_id)?;
        let origin = parse::word("origin", request.origin, codes::mediation_origin_from, None)?;
        let id = MediationId(new_id());
        let (parties, texts) = self.parties(id, &request.parties, &caller)?;
        let may_offer = caller.has(Role::Mediator) || caller.has(Role::CommitteeMember);
        if origin != MediationOrigin::Application && !may_offer {
            return Err(Error::invalid("origin", "only a mediator or the committee offers mediation").into());
        }
        let open = OpenMediation { mediation_id: id, case_id, origin, parties };
        let run = move |_: Option<Mediation>, case: &domain::Case, act: Act<'_>, _: &Caller| {
            case.admits_mediation()?;
            Mediation::open(open.clone(), may_offer, &act)
        };
        let command = MediationCommand::opening(self.desk.atlas.world(), id, texts, run);
        let answer = move |docket: &Docket| pb::OpenMediationResponse { mediation: told(docket, id) };
        let target = Target::Existing; // of the case
        let answer = self.executor.execute(&caller, meta, case_id, target, command, answer).await?;
        Ok(Response::new(answer))
    }

    async fn take_mediation(
        &self,
        request: Request<pb::TakeMediationRequest>,
    ) -> RpcResult<pb::TakeMediationResponse> {
        verb!(
            self,
            request,
            "TakeMediation",
            TakeMediationResponse,
            |_message| (),
            |mediation, act, by, _nothing| {
                // Another organisation's mediator takes it over for the own one.
                let mut act = act.clone();
                act.by = crate::docket::who(by);
                mediation.take(Some(by.person_id), &act)
            }
        )
    }

    async fn record_consent(
        &self,
        request: Request<pb::RecordConsentRequest>,
    ) -> RpcResult<pb::RecordConsentResponse> {
        verb!(
            self,
            request,
            "RecordConsent",
            RecordConsentResponse,
            |message| {
                if !message.rights_told {
                    return Err(Error::invalid("rights_told", "the party is told its rights first").into());
                }
                party_number(message.party_number)?
            },
            |mediation, act, by, number| mediation.consent(number, own(by), act)
        )
    }

    async fn refuse_mediation(
        &self,
        request: Request<pb::RefuseMediationRequest>,
    ) -> RpcResult<pb::RefuseMediationResponse> {
        verb!(
            self,
            request,
            "RefuseMediation",
            RefuseMediationResponse,
            |message| (
                party_number(message.party_number)?,
                parse::code("reason_code", &message.reason_code)?
            ),
            |mediation, act, by, refusal| mediation.refuse(refusal.0, own(by), &refusal.1, act)
        )
    }

    async fn hold_session(
        &self,
        request: Request<pb::HoldSessionRequest>,
    ) -> RpcResult<pb::HoldSessionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let aim = aim!("HoldSession", request);
        text("notes", &request.notes, false)?;
        let notes = (!request.notes.is_empty()).then(|| self.seal(aim.id, request.notes.as_bytes()));
        let text_id = notes.as_ref().map(|notes| notes.text_id);
        let run = move |mediation: Mediation, taken_up: bool, act: &Act<'_>, _: &Caller| {
            mediation.hold_session(taken_up, text_id, act)
        };
        let wrap = |mediation| pb::HoldSessionResponse { mediation };
        self.run(&caller, aim, notes.into_iter().collect(), run, wrap).await
    }

    async fn record_agreement(
        &self,
        request: Request<pb::RecordAgreementRequest>,
    ) -> RpcResult<pb::RecordAgreementResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let aim = aim!("RecordAgreement", request);
        let kind: AgreementKind = parse::word("kind", request.kind, codes::agreement_kind_from, None)?;
        text("terms", &request.terms, true)?;
        let due = request.performance_due_time.as_ref();
        let performance_due_at: Option<Timestamp> = parse::optional_time("performance_due_time", due)?;
        let terms = self.seal(aim.id, request.terms.as_bytes());
        let reached = AgreementReached { kind, text_id: terms.text_id, performance_due_at };
        let run = move |mediation: Mediation, _taken_up: bool, act: &Act<'_>, _: &Caller| {
            mediation.agree(reached.clone(), act)
        };
        let wrap = |mediation| pb::RecordAgreementResponse { mediation };
        self.run(&caller, aim, vec![terms], run, wrap).await
    }

    async fn sign_agreement(
        &self,
        request: Request<pb::SignAgreementRequest>,
    ) -> RpcResult<pb::SignAgreementResponse> {
        verb!(
            self,
            request,
            "SignAgreement",
            SignAgreementResponse,
            |message| {
                let number = |number: &i32| u32::try_from(*number).ok().filter(|number| *number > 0);
                let parties: Option<Vec<u32>> = message.party_numbers.iter().map(number).collect();
                let parties = parties.filter(|parties| parties.len() <= 20);
                let parties =
                    parties.ok_or_else(|| Error::invalid("party_numbers", "at most 20; 1 is the first"))?;
                Signatures { parties, sealed: message.sealed }
            },
            |mediation, act, _by, signatures| mediation.sign(&signatures, act)
        )
    }

    async fn record_performance(
        &self,
        request: Request<pb::RecordPerformanceRequest>,
    ) -> RpcResult<pb::RecordPerformanceResponse> {
        verb!(
            self,
            request,
            "RecordPerformance",
            RecordPerformanceResponse,
            |message| {
                if message.evidence_refs.is_empty() {
                    return Err(Error::invalid("evidence_refs", "name what the follow-up found").into());
                }
                tasks::evidence(&message.evidence_refs)?
            },
            |mediation, act, _by, evidence| mediation.perform(evidence.clone(), act)
        )
    }

    async fn record_breach(
        &self,
        request: Request<pb::RecordBreachRequest>,
    ) -> RpcResult<pb::RecordBreachResponse> {
        verb!(
            self,
            request,
            "RecordBreach",
            RecordBreachResponse,
            |message| parse::code("reason_code", &message.reason_code)?,
            |mediation, act, _by, reason| mediation.breach(&reason, act)
        )
    }

    async fn fail_mediation(
        &self,
        request: Request<pb::FailMediationRequest>,
    ) -> RpcResult<pb::FailMediationResponse> {
        verb!(
            self,
            request,
            "FailMediation",
            FailMediationResponse,
            |message| parse::code("reason_code", &message.reason_code)?,
            |mediation, act, _by, reason| mediation.fail(&reason, act)
        )
    }

    async fn report_escalation(
        &self,
        request: Request<pb::ReportEscalationRequest>,
    ) -> RpcResult<pb::ReportEscalationResponse> {
        verb!(
            self,
            request,
            "ReportEscalation",
            ReportEscalationResponse,
            |message| parse::code("ground_code", &message.ground_code)?,
            |mediation, act, _by, ground| mediation.report_escalation(&ground, act)
        )
    }

    async fn request_confirmation(
        &self,
        request: Request<pb::RequestConfirmationRequest>,
    ) -> RpcResult<pb::RequestConfirmationResponse> {
        verb!(
            self,
            request,
            "RequestConfirmation",
            RequestConfirmationResponse,
            |message| {
                if !message.joint {
                    return Err(Error::invalid("joint", "all parties ask the court together").into());
                }
                court_ref(&message.court_ref)?
            },
            |mediation, act, _by, number| mediation.request_confirmation(number.clone(), act)
        )
    }

    async fn record_confirmation(
        &self,
        request: Request<pb::RecordConfirmationRequest>,
    ) -> RpcResult<pb::RecordConfirmationResponse> {
        verb!(
            self,
            request,
            "RecordConfirmation",
            RecordConfirmationResponse,
            |message| CourtAnswered {
                answer: parse::word("answer", message.answer, court_answer_from, None)?,
                court_ref: court_ref(&message.court_ref)?,
            },
            |mediation, act, _by, answered| mediation.court_answers(answered.clone(), act)
        )
    }

    async fn remediate_mediation(
        &self,
        request: Request<pb::RemediateMediationRequest>,
    ) -> RpcResult<pb::RemediateMediationResponse> {
        verb!(
            self,
            request,
            "RemediateMediation",
            RemediateMediationResponse,
            |_message| (),
            |mediation, act, _by, _nothing| mediation.remediate(act)
        )
    }

    async fn get_mediation(
        &self,
        request: Request<pb::GetMediationRequest>,
    ) -> RpcResult<pb::GetMediationResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let case = parse::id("case_id", &request.case_id)?;
        let id = parse::id("mediation_id", &request.mediation_id)?;
        let docket = self.find(&caller, case, id).await?;
        Ok(Response::new(pb::GetMediationResponse { mediation: told(&docket, id) }))
    }

    async fn list_mediations(
        &self,
        request: Request<pb::ListMediationsRequest>,
    ) -> RpcResult<pb::ListMediationsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let states = request.states.iter();
        let states = states.map(|number| parse::word("states", *number, codes::mediation_state_from, None));
        let filter = MediationFilter {
            reach: ReachFilter::of(&caller),
            states: states.collect::<Result<_>>()?,
            case: parse::optional_id("case_id", &request.case_id)?,
            before: page::decode(&request.page_token)?,
            limit: size + 1,
        };
        let mut conn = self.desk.db.conn().await?;
        let mut found = mediations::list(&mut conn, &filter).await?;
        let next_page_token = page::cut(&mut found, size, |listed| listed.mediation.id.0);
        let shown = found.iter().map(|listed| {
            let shown = view::mediation(&listed.mediation, listed.case_state, &listed.case_no);
            pb::Mediation { steps: Vec::new(), ..shown }
        });
        Ok(Response::new(pb::ListMediationsResponse { mediations: shown.collect(), next_page_token }))
    }

    async fn reveal_mediation(
        &self,
        request: Request<pb::RevealMediationRequest>,
    ) -> RpcResult<pb::RevealMediationResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let case_id = parse::id("case_id", &request.case_id)?;
        let id = parse::id("mediation_id", &request.mediation_id)?;
        let docket = self.find(&caller, case_id, id).await?;
        let Some(mediation) = docket.mediation(id) else { return Err(Error::Forbidden.into()) };
        let org = mediation.mediator.as_ref().map(|mediator| mediator.org.0);
        if !org.is_some_and(|org| crate::reach::part_orgs(&caller).contains(&org)) {
            return Err(Error::Forbidden.into());
        }
        let mut conn = self.desk.db.conn().await?;
        // Recorded first: who could read it is known, whatever happens afterwards.
        let access = Access {
            access_id: new_id(),
            case_id,
            person_id: caller.person_id,
            actor_ref: &caller.actor_ref,
            org_id: caller.org_id,
            purpose: &caller.purpose,
            at: self.desk.clock.now(),
        };
        read::log_access(&mut conn, &access).await?;
        let sealed = mediations::texts(&mut conn, id).await?;
        let words = |id| String::from_utf8(self.open(id, &sealed)?).map_err(Error::internal);
        let parties = (1..).zip(&mediation.parties).map(|(number, party)| {
            let words = self.open(party.text_id, &sealed)?;
            let words = pb::RevealedParty::decode(words.as_slice()).map_err(Error::internal)?;
            Ok(pb::RevealedParty { number, ..words })
        });
        Ok(Response::new(pb::RevealMediationResponse {
            parties: parties.collect::<Result<_>>()?,
            terms: words(mediation.agreement.as_ref().map(|agreement| agreement.text_id))?,
            notes: mediation.sessions.iter().map(|session| words(session.text_id)).collect::<Result<_>>()?,
        }))
    }
}

/// `CourtAnswer` from the wire; `None` when unspecified.
const fn court_answer_from(word: pb::CourtAnswer) -> Option<CourtAnswer> {
    match word {
        pb::CourtAnswer::Unspecified => None,
        pb::CourtAnswer::Accepted => Some(CourtAnswer::Accepted),
        pb::CourtAnswer::NotAccepted => Some(CourtAnswer::NotAccepted),
        pb::CourtAnswer::Extended => Some(CourtAnswer::Extended),
        pb::CourtAnswer::Confirmed => Some(CourtAnswer::Confirmed),
        pb::CourtAnswer::NotConfirmed => Some(CourtAnswer::NotConfirmed),
    }
}
