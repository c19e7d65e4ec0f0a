//! `MediationService`: the parties of a dispute talk before a mediator; what they agreed on is followed up.

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::{Caller, CallerKind, Role},
    clock::new_id,
    command::{Meta, Target},
    page,
    proto::case_routing::v1::{self as pb, mediation_service_server::MediationService},
};
use prost::Message;
use tonic::{Request, Response};

use super::{
    mediation_desk::{
        Mediations, aim, court_answer_from, court_ref, for_oneself, of_place, own, party_number, text, told,
        verb,
    },
    mediation_view as view, parse, parts,
};
use crate::{
    codes,
    docket::{Docket, MediationCommand, who},
    domain::{
        self, Act, AgreementKind, AgreementReached, CaseId, CourtAnswered, Mediation, MediationId,
        MediationOrigin, OpenMediation, Signatures,
    },
    reach,
    store::{
        list::ReachFilter,
        mediations::{self, Listed, MediationFilter},
        overdue_mediations,
    },
    verb::{acting_for, opened_to, unbiased},
};

#[tonic::async_trait]
impl MediationService for Mediations {
    async fn open_mediation(
        &self,
        request: Request<pb::OpenMediationRequest>,
    ) -> RpcResult<pb::OpenMediationResponse> {
        let caller = self.desk.caller(&request)?;
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
        let run = move |_: Option<Mediation>, case: &domain::Case, act: Act<'_>, by: &Caller| {
            case.admits_mediation()?;
            let party = open.parties.iter().any(|party| party.person == Some(by.person_id));
            let act = for_oneself(act, party || reach::is_requester(case, by));
            Mediation::open(open.clone(), may_offer, &act)
        };
        let command = MediationCommand::opening(self.desk.atlas.world(), id, texts, run);
        let by = caller.clone();
        let answer = move |docket: &Docket| pb::OpenMediationResponse { mediation: told(docket, id, &by) };
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
            |mediation, case, act, by, _nothing| {
                unbiased(case, by)?;
                // Another organisation's mediator takes it over for the own one.
                let mut act = act.clone();
                act.by = who(by);
                let mediates = mediation.mediator.as_ref().map(|mediator| mediator.org);
                let recused = mediates.is_some() && mediates == case.complained_of;
                mediation.take(Some(by.person_id), recused, &act)
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
            |mediation, case, act, by, number| {
                let own = own(by, &mediation);
                if own.is_none() {
                    unbiased(case, by)?;
                }
                mediation.consent(number, own, &for_oneself(act.clone(), own.is_some()))
            }
        )
    }

    async fn refuse_mediation(
        &self,
        request: Request<pb::RefuseMediationRequest>,
    ) -> RpcResult<pb::RefuseMediationResponse> {
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("RefuseMediation", request);
        let number = party_number(request.party_number)?;
        let reason = parse::code("reason_code", &request.reason_code)?;
        let run = move |mediation: Mediation, case: &domain::Case, act: &Act<'_>, by: &Caller| {
            let party = usize::try_from(number - 1).ok().and_then(|index| mediation.parties.get(index));
            // An organisation that is the party is spoken for by whoever acts for it.
            let org = party.and_then(|party| party.org);
            let act = acting_for(act.clone(), by, org);
            let (own, of_place) = (own(by, &mediation), of_place(by, case, &mediation));
            // Each party refuses for itself, whoever is complained of.
            if own.is_none() && (org.is_none() || org != act.by.org) {
                unbiased(case, by)?;
            }
            let act = for_oneself(act, own.is_some());
            mediation.refuse(number, own, of_place, &reason, &act)
        };
        let wrap = |mediation| pb::RefuseMediationResponse { mediation };
        self.run(&caller, aim, Vec::new(), run, wrap).await
    }

    async fn hold_session(
        &self,
        request: Request<pb::HoldSessionRequest>,
    ) -> RpcResult<pb::HoldSessionResponse> {
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("HoldSession", request);
        text("notes", &request.notes, false)?;
        let notes = (!request.notes.is_empty()).then(|| self.seal(aim.id, request.notes.as_bytes()));
        let text_id = notes.as_ref().map(|notes| notes.text_id);
        let run = move |mediation: Mediation, case: &domain::Case, act: &Act<'_>, by: &Caller| {
            unbiased(case, by)?;
            mediation.hold_session(case.is_taken_up(), text_id, act)
        };
        let wrap = |mediation| pb::HoldSessionResponse { mediation };
        self.run(&caller, aim, notes.into_iter().collect(), run, wrap).await
    }

    async fn record_agreement(
        &self,
        request: Request<pb::RecordAgreementRequest>,
    ) -> RpcResult<pb::RecordAgreementResponse> {
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let aim = aim!("RecordAgreement", request);
        let kind: AgreementKind = parse::word("kind", request.kind, codes::agreement_kind_from, None)?;
        text("terms", &request.terms, true)?;
        let due = request.performance_due_time.as_ref();
        let performance_due_at: Option<Timestamp> = parse::optional_time("performance_due_time", due)?;
        let terms = self.seal(aim.id, request.terms.as_bytes());
        let reached = AgreementReached { kind, text_id: terms.text_id, performance_due_at };
        let run = move |mediation: Mediation, case: &domain::Case, act: &Act<'_>, by: &Caller| {
            unbiased(case, by)?;
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
            |mediation, act, by, signatures| mediation.sign(&signatures, act)
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
                parts::evidence(&message.evidence_refs)?
            },
            |mediation, act, by, evidence| mediation.perform(evidence.clone(), act)
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
            |mediation, act, by, reason| mediation.breach(&reason, act)
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
            |mediation, act, by, reason| mediation.fail(&reason, act)
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
            |mediation, _case, act, _by, ground| mediation.report_escalation(&ground, act)
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
            |mediation, act, by, number| mediation.request_confirmation(number.clone(), act)
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
            |mediation, act, by, answered| mediation.court_answers(answered.clone(), act)
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
            |mediation, act, by, _nothing| mediation.remediate(act)
        )
    }

    async fn get_mediation(
        &self,
        request: Request<pb::GetMediationRequest>,
    ) -> RpcResult<pb::GetMediationResponse> {
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let case = parse::id("case_id", &request.case_id)?;
        let id = parse::id("mediation_id", &request.mediation_id)?;
        let docket = self.find(&caller, case, id).await?;
        Ok(Response::new(pb::GetMediationResponse { mediation: told(&docket, id, &caller) }))
    }

    async fn list_mediations(
        &self,
        request: Request<pb::ListMediationsRequest>,
    ) -> RpcResult<pb::ListMediationsResponse> {
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let filter = MediationFilter {
            reach: ReachFilter::of_disputes(&caller),
            party: (caller.kind == CallerKind::Person).then_some(caller.person_id),
            states: parse::states("states", &request.states, codes::mediation_state_from)?,
            case: parse::optional_id("case_id", &request.case_id)?,
            before: if request.overdue { None } else { page::decode(&request.page_token)? },
            limit: size + 1,
        };
        let mut conn = self.desk.db.conn().await?;
        let (found, next_page_token) = if request.overdue {
            let after = page::decode(&request.page_token)?;
            let mut overdue = overdue_mediations::list(&mut conn, &filter, after).await?;
            let next = page::cut(&mut overdue, size, |(since, listed)| (*since, listed.mediation.id.0));
            let found: Vec<Listed> = overdue.into_iter().map(|(_, listed)| listed).collect();
            (found, next)
        } else {
            let mut found = mediations::list(&mut conn, &filter).await?;
            let next = page::cut(&mut found, size, |listed| listed.mediation.id.0);
            (found, next)
        };
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
        let caller = self.desk.caller(&request)?;
        let request = request.into_inner();
        let case_id = parse::id("case_id", &request.case_id)?;
        let id = parse::id("mediation_id", &request.mediation_id)?;
        let docket = self.find(&caller, case_id, id).await?;
        let mut conn = self.desk.db.conn().await?;
        let mediation = self.desk.look(&mut conn, &caller, case_id, opened(&docket, id, &caller)).await?;
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

/// The mediation, if what was said in it is opened to the caller.
fn opened<'a>(docket: &'a Docket, id: MediationId, by: &Caller) -> Result<&'a Mediation> {
    let own = reach::own_orgs(by);
    let mediates = |mediation: &&Mediation| {
        mediation.mediator.as_ref().is_some_and(|mediator| own.contains(&mediator.org.0))
    };
    let mediation = docket.mediation(id).filter(mediates).ok_or(Error::Forbidden)?;
    opened_to(&docket.case.case, by)?;
    Ok(mediation)
}
