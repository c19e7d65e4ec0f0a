//! `IntakeService`: what the window and the dispatchers decide.

use chassis::{
    Error, RpcResult,
    auth::Caller,
    command::{AggregateStore, Commands, Meta, once},
    db::Tx,
    proto::case_routing::v1::{self as pb, intake_service_server::IntakeService},
    update,
};
use tonic::{Request, Response};

use super::{
    desk::{Aim, Desk, told},
    duplicates, parse, route,
};
use crate::{
    codes,
    domain::{
        Act, AnswerCase, Case, CaseId, CaseState, DomainError, OrgId, RouteChoice, TriageCase, Trigger,
        UnitId,
    },
    reach,
    record::CaseRecord,
    seed,
    store::{case_store::CaseStore, exchange::joined, read},
    verb::{Verb, acting_for, acting_for_who_may, decides, sends, unbiased},
};

/// The RPCs.
#[derive(Clone)]
pub struct Intake(pub Desk);

/// Runs a verb: the common fields, what is parsed from the rest, and the verb itself.
macro_rules! verb {
    ($self:ident, $request:ident, $method:literal, $response:ident, |$message:ident| $parsed:expr, |$case:ident, $act:ident, $by:ident, $value:ident| $run:expr) => {{
        let caller = $self.0.caller(&$request)?;
        let $message = $request.into_inner();
        let aim = Aim::new($method, &$message, &$message.case_id, &$message.request_id, &$message.etag)?;
        let $value = $parsed;
        $self
            .0
            .run(
                &caller,
                aim,
                move |$case: Case, $act: Act<'_>, $by: &Caller| $run,
                |case| pb::$response { case },
            )
            .await
    }};
}
pub(super) use verb;

#[tonic::async_trait]
impl IntakeService for Intake {
    async fn accept_case(
        &self,
        request: Request<pb::AcceptCaseRequest>,
    ) -> RpcResult<pb::AcceptCaseResponse> {
        verb!(self, request, "AcceptCase", AcceptCaseResponse, |_message| (), |case, act, _by, _nothing| {
            case.accept(&act)
        })
    }

    async fn decline_case(
        &self,
        request: Request<pb::DeclineCaseRequest>,
    ) -> RpcResult<pb::DeclineCaseResponse> {
        verb!(
            self,
            request,
            "DeclineCase",
            DeclineCaseResponse,
            |message| {
                let known = seed::decline_reasons().get(&message.reason_code);
                let known = known.filter(|code| code.applies_to.iter().any(|what| what == "case"));
                let reason =
                    known.ok_or_else(|| Error::invalid("reason_code", "is not on the list of reasons"))?;
                (message.reason_code.clone(), reason.told_channel.clone())
            },
            |case, act, by, reason| {
                unbiased(&case, by)?;
                case.decline(&reason.0, &reason.1, &act)
            }
        )
    }

    async fn request_supplement(
        &self,
        request: Request<pb::RequestSupplementRequest>,
    ) -> RpcResult<pb::RequestSupplementResponse> {
        verb!(
            self,
            request,
            "RequestSupplement",
            RequestSupplementResponse,
            |message| parse::codes("material_codes", &message.material_codes)?,
            |case, act, by, materials| {
                unbiased(&case, by)?;
                case.request_supplement(materials.clone(), &act)
            }
        )
    }

    async fn hand_off_case(
        &self,
        request: Request<pb::HandOffCaseRequest>,
    ) -> RpcResult<pb::HandOffCaseResponse> {
        Ok(Response::new(self.refer(request).await?))
    }

    async fn take_back_case(
        &self,
        request: Request<pb::TakeBackCaseRequest>,
    ) -> RpcResult<pb::TakeBackCaseResponse> {
        verb!(
            self,
            request,
            "TakeBackCase",
            TakeBackCaseResponse,
            |message| parse::code("reason_code", &message.reason_code)?,
            |case, act, by, reason| {
                unbiased(&case, by)?;
                case.take_back(&reason, &act)
            }
        )
    }

    async fn merge_case(&self, request: Request<pb::MergeCaseRequest>) -> RpcResult<pb::MergeCaseResponse> {
        Ok(Response::new(self.join(request).await?))
    }

    async fn unmerge_case(
        &self,
        request: Request<pb::UnmergeCaseRequest>,
    ) -> RpcResult<pb::UnmergeCaseResponse> {
        Ok(Response::new(self.part(request).await?))
    }

    async fn find_duplicates(
        &self,
        request: Request<pb::FindDuplicatesRequest>,
    ) -> RpcResult<pb::FindDuplicatesResponse> {
        let caller = self.0.caller(&request)?;
        Ok(Response::new(duplicates::find(&self.0, &caller, &request.into_inner()).await?))
    }

    async fn answer_case(
        &self,
        request: Request<pb::AnswerCaseRequest>,
    ) -> RpcResult<pb::AnswerCaseResponse> {
        verb!(
            self,
            request,
            "AnswerCase",
            AnswerCaseResponse,
            |message| AnswerCase {
                explanation_ref: parse::reference("answer_ref", &message.answer_ref)?,
                closed_code: parse::word("closed_code", message.closed_code, codes::closed_code_from, None)?,
            },
            |case, act, by, answer| {
                unbiased(&case, by)?;
                case.answer(answer.clone(), &act)
            }
        )
    }

    async fn triage_case(
        &self,
        request: Request<pb::TriageCaseRequest>,
    ) -> RpcResult<pb::TriageCaseResponse> {
        let world = self.0.atlas.world();
        let models = self.0.models.clone();
        verb!(
            self,
            request,
            "TriageCase",
            TriageCaseResponse,
            |message| {
                let place_unit: Option<UnitId> = parse::optional_id("place_unit_id", &message.place_unit_id)?;
                if place_unit.is_some_and(|unit| world.topology.unit(unit.0).is_none()) {
                    return Err(Error::invalid("place_unit_id", "no such unit").into());
                }
                if !message.item_code.is_empty() && world.items().newest(&message.item_code).is_none() {
                    return Err(Error::invalid("item_code", "no such item in the catalogue").into());
                }
                if message.clear_subject && !message.subject_org_id.is_empty() {
                    return Err(Error::invalid("clear_subject", "not together with subject_org_id").into());
                }
                TriageCase {
                    item_code: (!message.item_code.is_empty()).then(|| message.item_code.clone()),
                    urgency: parse::optional_word("urgency", message.urgency, codes::urgency_from)?,
                    place_unit,
                    grid: parse::grid_code("grid_code", &message.grid_code)?,
                    point: parse::point("point", message.point.as_ref())?,
                    complained_of: parse::optional_id::<OrgId>("subject_org_id", &message.subject_org_id)?,
                    clears_subject: message.clear_subject,
                    // Both can only be added here: what was said at the window stands.
                    society_agreed: message.agrees_to_society.then_some(true),
                    vulnerable: message.vulnerable.then_some(true),
                    suggestion: None,
                }
            },
            |case, act, by, triage| {
                unbiased(&case, by)?;
                let suggestion = models.beside(&world, act.now, &case);
                case.triage(&TriageCase { suggestion, ..triage.clone() }, &act)
            }
        )
    }

    async fn dispatch_case(
        &self,
        request: Request<pb::DispatchCaseRequest>,
    ) -> RpcResult<pb::DispatchCaseResponse> {
        verb!(
            self,
            request,
            "DispatchCase",
            DispatchCaseResponse,
            |message| route::Wish::of(
                &message.lead_org_id,
                &message.assist_org_ids,
                &message.reason_code,
                message.skip_society
            )?
            .confirming(&message.confirm_decision_id)?,
            |case, act, by, wish| {
                let act = acting_for(act, by, by.org_id.map(OrgId));
                let choice: RouteChoice = wish.choice(&case, &act, by);
                sends(&case, &choice, &act, by)?;
                case.dispatch(&choice, &act)
            }
        )
    }

    async fn recall_case(
        &self,
        request: Request<pb::RecallCaseRequest>,
    ) -> RpcResult<pb::RecallCaseResponse> {
        verb!(
            self,
            request,
            "RecallCase",
            RecallCaseResponse,
            |message| parse::code("reason_code", &message.reason_code)?,
            |case, act, by, reason| {
                decides(&case, &act, by)?;
                let (routes, now) = (act.routes, act.now);
                let act = acting_for_who_may(act, by, |org| case.may_recall(org, routes, now));
                case.recall(&reason, &act)
            }
        )
    }

    async fn explain_route(
        &self,
        request: Request<pb::ExplainRouteRequest>,
    ) -> RpcResult<pb::ExplainRouteResponse> {
        let caller = self.0.caller(&request)?;
        let decision = route::explain(&self.0, &caller, &request.into_inner()).await?;
        Ok(Response::new(pb::ExplainRouteResponse { decision: Some(decision) }))
    }
}

impl Intake {
    /// Hands a case off by a line that somebody chose.
    async fn refer(
        &self,
        request: Request<pb::HandOffCaseRequest>,
    ) -> chassis::Result<pb::HandOffCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let aim = Aim::new("HandOffCase", &request, &request.case_id, &request.request_id, &request.etag)?;
        let line = parse::code("line_code", &request.line_code)?;
        let world = self.0.atlas.world();
        let referred = once(&self.0.db, &caller, aim.meta, async |tx: &mut Tx<'_>| {
            // Locked before other systems are asked about: what is merged into it stays the same meanwhile.
            let mut locked = self.0.executor.store().load(&*tx.conn, &[aim.id]).await?;
            let found = locked.remove(&aim.id).filter(|record| reach::reaches(&record.case, &caller));
            let found = found.ok_or_else(|| Error::not_found("case", aim.id.to_string()))?;
            let elsewhere = joined::elsewhere(tx.conn, &line, &found.case).await?;
            let by_line = line.clone();
            let hand_off = move |case: Case, act: Act<'_>, by: &Caller| {
                unbiased(&case, by)?;
                case.hand_off(&by_line, elsewhere, &act)
            };
            let hand_off = Verb::new(world.clone(), aim.id, aim.etag, hand_off).within_reach();
            let commands: Commands<CaseStore> = vec![(aim.id, Box::new(hand_off))];
            let records = self.0.executor.apply(tx, &caller, commands).await?;
            Ok(pb::HandOffCaseResponse { case: records.first().map(|record| told(record, &world)) })
        });
        referred.await
    }

    /// Joins a duplicate to its original, with those that were joined to it: all of them change in one commit.
    async fn join(&self, request: Request<pb::MergeCaseRequest>) -> chassis::Result<pb::MergeCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("MergeCase", &request.request_id, &request)?;
        let (id, etag) = (parse::id::<CaseId>("case_id", &request.case_id)?, update::etag(&request.etag)?);
        let into: CaseId = parse::id("into_case_id", &request.into_case_id)?;
        if id == into {
            return Err(Error::invalid("into_case_id", "is the case itself"));
        }
        let world = self.0.atlas.world();
        let joined = once(&self.0.db, &caller, meta, async |tx: &mut Tx<'_>| {
            let found = reached(tx, &caller, id).await?;
            let (brought, complaint) = (found.case.merged.clone(), found.case.complaint());
            let unnamed = found.case.unnamed();
            let merge = move |case: Case, act: Act<'_>, by: &Caller| {
                unbiased(&case, by)?;
                case.merge(into, &act)
            };
            let mut all = vec![id];
            all.extend(&brought);
            let brings = complaint.clone();
            let absorb = move |case: Case, act: Act<'_>, _: &Caller| {
                case.take_in(&all, brings.as_ref(), &act).map(|taken| taken.nobody_named(&unnamed))
            };
            let mut commands: Commands<CaseStore> = vec![
                (id, Box::new(Verb::new(world.clone(), id, etag, merge).within_reach())),
                (into, Box::new(Verb::new(world.clone(), into, None, absorb).within_reach())),
            ];
            for other in &brought {
                let go = move |case: Case, act: Act<'_>, _: &Caller| case.go_along(id, into, &act);
                // What it refuses is told of the case that was asked for.
                commands.push((*other, Box::new(Verb::new(world.clone(), id, None, go).on_what_was_found())));
            }
            let record = self.first_of(tx, &caller, commands, &brought).await?;
            // Another is complained of since the look: the other case was asked about the wrong one.
            if record.case.complaint() != complaint {
                return Err(Error::stale("case", id.to_string()));
            }
            Ok(pb::MergeCaseResponse { case: Some(told(&record, &world)) })
        });
        joined.await
    }

    /// Undoes a merge: the case leaves the other with those that came with it, and they belong to it again.
    async fn part(
        &self,
        request: Request<pb::UnmergeCaseRequest>,
    ) -> chassis::Result<pb::UnmergeCaseResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("UnmergeCase", &request.request_id, &request)?;
        let (id, etag) = (parse::id::<CaseId>("case_id", &request.case_id)?, update::etag(&request.etag)?);
        let world = self.0.atlas.world();
        // Looked up inside, where a repeat does not come: it would find the case parted already.
        let parted = once(&self.0.db, &caller, meta, async |tx: &mut Tx<'_>| {
            let found = reached(tx, &caller, id).await?;
            let into = found.case.merged_into.filter(|_| found.case.state == CaseState::Merged);
            let into =
                into.ok_or_else(|| Error::wrong_state("case", id.to_string(), "the case is not merged"))?;
            let original = read::original(tx.conn, &found.case).await?;
            let over = original.is_some_and(|record| record.case.state.is_terminal());
            let mut along = Vec::new();
            for other in &found.case.merged {
                let record = read::case(tx.conn, *other).await?;
                let came = |record: &CaseRecord| {
                    record.case.merged_into == Some(into) && record.case.merged_through.contains(&id)
                };
                along.extend(record.filter(came));
            }
            let rated_bad = along.iter().any(|record| record.case.awaits_judgement());
            let unmerge = move |case: Case, act: Act<'_>, by: &Caller| {
                unbiased(&case, by)?;
                // Found in another case, it would leave the wrong one.
                if case.merged_into != Some(into) {
                    Err(DomainError::WrongState { state: case.state, verb: Trigger::Unmerge })
                } else if over {
                    case.unmerge_from_over(rated_bad, &act)
                } else {
                    case.unmerge(&act)
                }
            };
            let mut all = vec![id];
            let unmerge = Verb::new(world.clone(), id, etag, unmerge).within_reach().on_what_was_found();
            let mut commands: Commands<CaseStore> = vec![(id, Box::new(unmerge))];
            for other in along.iter().map(|record| record.case.id) {
                let back = move |case: Case, act: Act<'_>, _: &Caller| {
                    if over { case.come_back_from_over(id, &act) } else { case.come_back(id, &act) }
                };
                // As in a merge.
                let back = Verb::new(world.clone(), id, None, back).on_what_was_found();
                commands.push((other, Box::new(back)));
                all.push(other);
            }
            // Those that took it along on its way there do not know it any more either.
            for through in &found.case.merged_through {
                let gone = all.clone();
                let leave = move |case: Case, act: Act<'_>, _: &Caller| case.absorb(&gone, false, &act);
                commands.push((*through, Box::new(Verb::new(world.clone(), *through, None, leave))));
            }
            let leave = move |case: Case, act: Act<'_>, _: &Caller| case.absorb(&all, false, &act);
            commands.push((into, Box::new(Verb::new(world.clone(), into, None, leave).within_reach())));
            let record = self.first_of(tx, &caller, commands, &found.case.merged).await?;
            Ok(pb::UnmergeCaseResponse { case: Some(told(&record, &world)) })
        });
        parted.await
    }

    /// Carries the commands out; gives the case of the first, which has these others in it as they were read.
    async fn first_of(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        commands: Commands<CaseStore>,
        merged: &[CaseId],
    ) -> chassis::Result<CaseRecord> {
        let records = self.0.executor.apply(tx, caller, commands).await?;
        let first = records.into_iter().next();
        let first = first.ok_or_else(|| Error::internal("no command was carried out"))?;
        // Others came or went between the look and the lock: it is all undone, and can be asked for again.
        if first.case.merged != merged {
            return Err(Error::stale("case", first.case.id.to_string()));
        }
        Ok(first)
    }
}

/// The case as it is before it is locked, if the caller reaches it.
async fn reached(tx: &mut Tx<'_>, caller: &Caller, id: CaseId) -> chassis::Result<CaseRecord> {
    let found = read::case(tx.conn, id).await?;
    let found = found.filter(|record| reach::reaches(&record.case, caller));
    found.ok_or_else(|| Error::not_found("case", id.to_string()))
}
