//! The end of a lasting benefit outside of a re-check. The papers that began it and an open re-check change in one commit.

use chassis::{
    Error, Result,
    auth::{Caller, Role},
    command::{Commands, Meta, once},
    db::Tx,
    proto::case_routing::v1 as pb,
    update,
};
use chrono::NaiveDate;

use super::{application_convert, application_desk::Applications, parse, registers::day, route::holds};
use crate::{
    atlas::World,
    codes,
    domain::{Act, Application, BenefitGround, Case, CaseId, EndBenefit, OrgId},
    filing::{File, impartial},
    reach,
    store::{
        applications::ApplicationStore,
        benefits::{self, Benefit},
        read,
    },
    verb::acting_for_who_may,
};

/// What the request says, checked as far as the request alone tells.
struct Said {
    ground: BenefitGround,
    on: NaiveDate,
    statement: String,
    reconsideration_body: String,
    court: String,
}

impl TryFrom<&pb::EndBenefitRequest> for Said {
    type Error = Error;

    fn try_from(request: &pb::EndBenefitRequest) -> Result<Self> {
        let ground: BenefitGround = parse::word("ground", request.ground, codes::benefit_ground_from, None)?;
        let on = day("ended_on", &request.ended_on)?;
        let told = |field: &str, body: &str| {
            if ground.is_told() { parse::words(field, body, 2, 100) } else { Ok(body.to_owned()) }
        };
        Ok(Self {
            ground,
            on: on.ok_or_else(|| Error::invalid("ended_on", "is required"))?,
            statement: parse::words("statement", &request.statement, 10, 4_000)?,
            reconsideration_body: told("reconsideration_body", &request.reconsideration_body)?,
            court: told("court", &request.court)?,
        })
    }
}

impl Said {
    /// Of a benefit that stands so, by one of those in charge.
    fn of(self, benefit: &Benefit, in_charge: Vec<OrgId>) -> EndBenefit {
        EndBenefit {
            ground: self.ground,
            on: self.on,
            statement: self.statement,
            reconsideration_body: self.reconsideration_body,
            court: self.court,
            in_charge,
            tag_code: benefit.tag_code.clone(),
            version: benefit.version,
        }
    }
}

impl Applications {
    pub(super) async fn end_outside(
        &self,
        caller: &Caller,
        request: pb::EndBenefitRequest,
    ) -> Result<pb::EndBenefitResponse> {
        let meta = Meta::new("EndBenefit", &request.request_id, &request)?;
        let id: CaseId = parse::id("benefit_id", &request.benefit_id)?;
        let etag = update::etag(&request.etag)?;
        let said = Said::try_from(&request)?;
        let world = self.desk.atlas.world();
        let ended = once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let (stands, in_charge) = standing(tx, &world, caller, id).await?;
            let command = said.of(&stands, in_charge.clone());
            let end = move |papers: Application, case: Case, act: Act<'_>, by: &Caller| {
                impartial(&case, by)?;
                let act = acting_for_who_may(act, by, |org| command.in_charge.contains(&org));
                papers.end_benefit(&command, case, &act)
            };
            let mut commands: Commands<ApplicationStore> =
                vec![(id, Box::new(File::new(world.clone(), id, etag, end)))];
            if let Some(recheck) = stands.recheck_case_id.map(CaseId) {
                let lapse = move |papers: Application, case: Case, act: Act<'_>, by: &Caller| {
                    let act = acting_for_who_may(act, by, |org| in_charge.contains(&org));
                    papers.lapse(id, case, &act)
                };
                let lapse = File::new(world.clone(), recheck, None, lapse);
                commands.push((recheck, Box::new(File { open_of: Some(id), ..lapse })));
            }
            let records = self.executor.apply(tx, caller, commands).await?;
            let now = benefits::get(tx.conn, id).await?;
            let (benefit, rechecks) =
                now.ok_or_else(|| Error::internal("a benefit was there a moment ago"))?;
            let ending = records.first().and_then(|record| record.application.ending.as_ref());
            let ending = ending.map(|ending| application_convert::ending(ending, false));
            let benefit = application_convert::as_it_stands(&benefit, &rechecks, ending);
            Ok(pb::EndBenefitResponse { benefit: Some(benefit) })
        });
        ended.await
    }
}

/// By which roles for an organisation in charge a benefit is ended: those of the policy.
const ENDING: [Role; 6] = [
    Role::ServiceWorker,
    Role::StationHead,
    Role::StreetDispatcher,
    Role::StreetLeader,
    Role::DeptOfficer,
    Role::DeptLeader,
];

/// The benefit as it stands, not locked, with those in charge of it for whom the caller may end it, if the caller reaches the
/// application that began it, the one that it rests on, or its open re-check.
async fn standing(
    tx: &mut Tx<'_>,
    world: &World,
    caller: &Caller,
    id: CaseId,
) -> Result<(Benefit, Vec<OrgId>)> {
    let missing = || Error::not_found("benefit", id);
    let (benefit, _) = benefits::get(tx.conn, id).await?.ok_or_else(missing)?;
    let rests_on = read::case(tx.conn, CaseId(benefit.case_id)).await?.ok_or_else(missing)?;
    let mut reached = reach::reaches(&rests_on.case, caller);
    let begun = Some(benefit.benefit_id).filter(|begun| *begun != benefit.case_id);
    for case in [begun, benefit.recheck_case_id] {
        let Some(case) = case.filter(|_| !reached) else { continue };
        let found = read::case(tx.conn, CaseId(case)).await?;
        reached = found.is_some_and(|record| reach::reaches(&record.case, caller));
    }
    if !reached {
        return Err(missing());
    }
    if benefit.ended_at.is_some() {
        return Err(Error::wrong_state("benefit", id, "it has ended already"));
    }
    // What it rests on changes with its version, which the decision is checked against.
    let case = &rests_on.case;
    let routes = &world.routes;
    let stands = routes.org(case.first_receiver).is_some_and(|org| org.in_force(tx.now));
    let path = routes.unit(routes.present(case.place.unit)).map_or(&case.place.path[..], |unit| &unit.path);
    let receiver = if stands { Some(case.first_receiver) } else { routes.window_above(path, tx.now) };
    // Another role for the organisation is not enough.
    let may = |org: &OrgId| ENDING.into_iter().any(|role| holds(caller, role, Some(*org)));
    let in_charge = receiver.into_iter().chain(case.lead_org).filter(may).collect();
    Ok((benefit, in_charge))
}
