//! One request's life, played by the people it meets. The life is driven by the state the case is in, so that
//! timers, partners and other services may move it meanwhile; chances are drawn from a seed and the row alone.

use std::{sync::Arc, time::Duration as Real};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Duration, Utc};
use proto::{
    case_routing::v1::{
        AcceptCaseRequest, Case, CaseState, Channel, DeclineCaseRequest, DispatchCaseRequest, GetCaseRequest,
        IntakeCaseRequest, RegisterCaseRequest, RequestSupplementRequest, SupplementCaseRequest,
        TriageCaseRequest, Urgency, WaitCaseRequest, WithdrawCaseRequest,
    },
    volunteer_matching::v1::OfferState,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;

use super::{World, clock::instant, input::Row};
use crate::suite::{Rpc, Session, request_id};

/// How a life ended.
#[derive(Debug)]
pub struct Ended {
    /// Id that the registration was acknowledged with.
    pub case_id: String,
    /// Last state that was seen.
    pub state: CaseState,
    /// Real time from the registration to the end, without the waits in domain time.
    pub active: Real,
    /// Domain time from the registration to the end.
    pub domain: Duration,
}

pub(super) struct Life {
    pub world: Arc<World>,
    pub rng: StdRng,
    pub case_id: String,
    pub place: String,
    pub item: String,
    /// Whether the window can tell the item by itself.
    certain: bool,
    pub resident: Arc<Session>,
    pub active: Real,
    awake_since: std::time::Instant,
    /// Held while awake, so that at most so many lives are active at once.
    permit: Option<OwnedSemaphorePermit>,
    /// Steps taken, so that a life that goes in circles is seen.
    steps: u32,
}

/// A life that needs more steps than this is stuck.
const MAX_STEPS: u32 = 400;

impl Life {
    /// Sleeps until the row arrives, then lives it to the end.
    pub async fn live(world: Arc<World>, row: Row) -> Result<Ended> {
        world.clock.sleep_until(row.arrival).await;
        let permit = world.awake.clone().acquire_owned().await?;
        let (place, mut rng) = place_of(world.seed, row.number, world.actors.places.len())?;
        let place = &world.actors.places[place];
        let resident = world.actors.resident(rng.random(), world.residents)?.clone();
        let mut life = Life {
            place: place.unit_id.clone(),
            item: row.item.clone(),
            certain: row.certain,
            case_id: String::new(),
            resident,
            rng,
            active: Real::ZERO,
            awake_since: std::time::Instant::now(),
            permit: Some(permit),
            steps: 0,
            world,
        };
        let registered = life.world.clock.now();
        life.enter(&row).await.with_context(|| format!("row {}", row.number))?;
        life.world.registered(&life.case_id);
        let state = loop {
            life.steps += 1;
            if life.steps > MAX_STEPS {
                let case = life.read().await?;
                bail!("case {} is stuck in {}", life.case_id, case.state().as_str_name());
            }
            let case = life.read().await?;
            if let Some(state) = life.step(&case).await.with_context(|| format!("case {}", life.case_id))? {
                break state;
            }
        };
        life.active += life.awake_since.elapsed();
        let domain = life.world.clock.now() - registered;
        Ok(Ended { case_id: life.case_id, state, active: life.active, domain })
    }

    /// True with a probability in percent.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// Sleeps in domain time.
    pub async fn pause(&mut self, time: Duration) {
        self.pause_until(self.world.clock.now() + time).await;
    }

    /// Sleeps until a domain instant.
    pub async fn pause_until(&mut self, at: DateTime<Utc>) {
        self.active += self.awake_since.elapsed();
        self.permit = None;
        self.world.clock.sleep_until(at).await;
        // The semaphore is never closed.
        self.permit = self.world.awake.clone().acquire_owned().await.ok();
        self.awake_since = std::time::Instant::now();
    }

    /// Some minutes between two bounds.
    pub fn minutes(&mut self, from: i64, to: i64) -> Duration {
        Duration::minutes(self.rng.random_range(from..to))
    }

    /// The case as the district dispatcher sees it.
    pub async fn read(&self) -> Result<Case> {
        let reader = self.world.actors.role("district_dispatcher", 0)?;
        let request = reader.request(GetCaseRequest { case_id: self.case_id.clone() }).await?;
        let answer = self.world.suite.cases().get_case(request).await?.into_inner();
        answer.case.context("GetCase answered without a case")
    }

    /// The case once it has changed, or as it is after a second.
    async fn changed(&self, known: Case) -> Result<Case> {
        let reader = self.world.actors.role("district_dispatcher", 0)?;
        let wait = WaitCaseRequest { case_id: known.case_id, after_etag: known.etag, wait_seconds: 1 };
        let answer = self.world.suite.cases().wait_case(reader.request(wait).await?).await?.into_inner();
        answer.case.context("WaitCase answered without a case")
    }

    /// Waits, in real time, for what events of other services bring about.
    pub async fn wait_for(&mut self, what: &str, done: impl Fn(&Case) -> bool) -> Result<Case> {
        let deadline = std::time::Instant::now() + self.world.patience;
        let mut case = self.read().await?;
        loop {
            if done(&case) {
                return Ok(case);
            }
            if std::time::Instant::now() > deadline {
                bail!(
                    "waited {:?} for {what}, the case is {}",
                    self.world.patience,
                    case.state().as_str_name()
                );
            }
            case = self.changed(case).await?;
        }
    }

    /// Registration, by the resident or at the window, which takes in at once what it can tell the item of.
    async fn enter(&mut self, row: &Row) -> Result<()> {
        let agrees_to_society = self.chance(80);
        let vulnerable = self.chance(15);
        let by_app = self.chance(50);
        let case = if by_app || !self.certain {
            let by = if by_app { self.resident.clone() } else { self.window()? };
            let request = RegisterCaseRequest {
                request_id: request_id(),
                text: row.text.clone(),
                place_unit_id: self.place.clone(),
                channel: if by_app { Channel::App } else { Channel::Phone }.into(),
                requester_id: self.resident.account.person_id.clone(),
                notice_version: "v1".into(),
                urgency: Urgency::Normal.into(),
                agrees_to_society,
                vulnerable,
                ..Default::default()
            };
            let request = by.request(request).await?;
            self.world.suite.cases().register_case(request).await?.into_inner().case
        } else {
            let window = self.window()?;
            let request = IntakeCaseRequest {
                request_id: request_id(),
                text: row.text.clone(),
                place_unit_id: self.place.clone(),
                channel: Channel::Phone.into(),
                item_code: self.item.clone(),
                requester_id: self.resident.account.person_id.clone(),
                notice_version: "v1".into(),
                urgency: Urgency::Normal.into(),
                agrees_to_society,
                vulnerable,
                ..Default::default()
            };
            let request = window.request(request).await?;
            self.world.suite.cases().intake_case(request).await?.into_inner().case
        };
        self.case_id = case.context("a registration answered without a case")?.case_id;
        Ok(())
    }

    /// Who sits at the window: a worker of the community's station, or the district's dispatcher.
    pub fn window(&mut self) -> Result<Arc<Session>> {
        let n: u64 = self.rng.random();
        let actors = &self.world.actors;
        let worker = actors.role_at("service_worker", &self.place, n);
        Ok(worker.or_else(|_| actors.role("district_dispatcher", n))?.clone())
    }

    /// Who says what a case is about and sends it out: the window, where it can tell; else a dispatcher who reaches the place, as
    /// a rule the street's.
    fn desk(&mut self) -> Result<Arc<Session>> {
        if self.certain {
            return self.window();
        }
        let n: u64 = self.rng.random();
        let role = if self.chance(80) { "street_dispatcher" } else { "district_dispatcher" };
        let actors = &self.world.actors;
        let dispatcher = actors.role_at(role, &self.place, n);
        Ok(dispatcher.or_else(|_| actors.role("district_dispatcher", n))?.clone())
    }

    /// One step from the state the case is in; `Some` when the life has ended.
    async fn step(&mut self, case: &Case) -> Result<Option<CaseState>> {
        match case.state() {
            CaseState::Registered => self.at_the_window().await?,
            CaseState::NeedSupplement => self.supplement(case).await?,
            CaseState::Accepted | CaseState::Triaged => self.dispatch(case).await?,
            CaseState::OfferedToSociety => self.offered(case).await?,
            CaseState::Dispatched => self.dispatched(case).await?,
            CaseState::Objected => self.objected(case).await?,
            CaseState::Signed => self.signed(case).await?,
            CaseState::InProgress => self.in_progress(case).await?,
            CaseState::Suspended => self.suspended(case).await?,
            CaseState::Completed | CaseState::Verifying => self.verify(case).await?,
            CaseState::Resolved => self.rate(case).await?,
            CaseState::Closed => {
                if case.reopen_count == 0 && self.chance(1) {
                    self.reopen().await?;
                } else {
                    return Ok(Some(CaseState::Closed));
                }
            }
            CaseState::Archived
            | CaseState::Withdrawn
            | CaseState::Merged
            | CaseState::NotAccepted
            | CaseState::HandedOff => return Ok(Some(case.state())),
            CaseState::Unspecified => bail!("a case without a state"),
        }
        Ok(None)
    }

    async fn at_the_window(&mut self) -> Result<()> {
        let delay = self.minutes(3, 90);
        self.pause(delay).await;
        let window = self.window()?;
        let case_id = self.case_id.clone();
        let mut intake = self.world.suite.intake();
        let done = if self.chance(1) {
            let request = DeclineCaseRequest {
                case_id,
                request_id: request_id(),
                reason_code: "out_of_area".into(),
                ..Default::default()
            };
            intake.decline_case(window.request(request).await?).await.map(drop)
        } else if self.chance(3) {
            let request = RequestSupplementRequest {
                case_id,
                request_id: request_id(),
                material_codes: vec!["place_detail".into()],
                ..Default::default()
            };
            intake.request_supplement(window.request(request).await?).await.map(drop)
        } else if self.chance(2) {
            let request = WithdrawCaseRequest {
                case_id,
                request_id: request_id(),
                reason_code: "solved_itself".into(),
                ..Default::default()
            };
            let request = self.resident.request(request).await?;
            self.world.suite.cases().withdraw_case(request).await.map(drop)
        } else {
            let request = AcceptCaseRequest { case_id, request_id: request_id(), ..Default::default() };
            intake.accept_case(window.request(request).await?).await.map(drop)
        };
        moved_on(done)
    }

    /// The resident sends everything that the list asks for.
    async fn supplement(&mut self, case: &Case) -> Result<()> {
        let asked = case.supplement.as_ref().context("a supplement without a list")?;
        let delay = self.minutes(60, 1440);
        self.pause(delay).await;
        let request = SupplementCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            material_codes: asked.asked_material_codes.clone(),
            material_refs: vec!["photo:place".into()],
            ..Default::default()
        };
        let request = self.resident.request(request).await?;
        moved_on(self.world.suite.cases().supplement_case(request).await)
    }

    async fn dispatch(&mut self, case: &Case) -> Result<()> {
        let delay = self.minutes(2, 60);
        self.pause(delay).await;
        let desk = self.desk()?;
        let agrees_to_society = self.chance(80);
        let mut intake = self.world.suite.intake();
        if case.state() == CaseState::Accepted {
            let request = TriageCaseRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                item_code: self.item.clone(),
                place_unit_id: self.place.clone(),
                urgency: Urgency::Normal.into(),
                vulnerable: case.vulnerable,
                agrees_to_society,
                ..Default::default()
            };
            let request = desk.request(request).await?;
            return moved_on(intake.triage_case(request).await);
        }
        // What the router only proposes, they confirm.
        let proposed = case.routing.as_ref().filter(|decision| decision.kind == "proposed");
        let request = DispatchCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            confirm_decision_id: proposed.map(|decision| decision.decision_id.clone()).unwrap_or_default(),
            ..Default::default()
        };
        moved_on(intake.dispatch_case(desk.request(request).await?).await)
    }

    async fn offered(&mut self, case: &Case) -> Result<()> {
        let Some(offer) = case.offer.clone() else { return self.look_again().await };
        let due = offer.due_time.as_ref().and_then(instant).context("an offer without a deadline")?;
        let Ok(partner) = self.world.actors.leader(&offer.partner_org_id).cloned() else {
            return self.pause_until_past(due).await;
        };
        let answer = self.rng.random_range(0..100);
        if answer >= 90 {
            return self.pause_until_past(due).await; // nobody answers
        }
        let delay = self.minutes(5, 120);
        self.pause_until((self.world.clock.now() + delay).min(due - Duration::seconds(30))).await;
        let arrived = self.offer_arrived(&partner, &offer.offer_id, OfferState::Offered).await?;
        let Some(arrived) = arrived else { return Ok(()) };
        if answer < 75 {
            self.accept_offer(&partner, &arrived).await
        } else {
            self.decline_offer(&partner, &offer.offer_id).await
        }
    }

    /// Lets a deadline pass and the service act on it.
    pub async fn pause_until_past(&mut self, due: DateTime<Utc>) -> Result<()> {
        self.pause_until(due + Duration::minutes(1)).await;
        self.look_again().await
    }

    /// Waits a moment of real time: something in another task is about to move the case.
    pub async fn look_again(&mut self) -> Result<()> {
        tokio::time::sleep(Real::from_millis(20)).await;
        Ok(())
    }
}

/// Which of so many places a row is of, and what every other chance of its life is drawn from: both follow from the seed and the row
/// alone.
fn place_of(seed: u64, row: u64, places: usize) -> Result<(usize, StdRng)> {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(row.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut rng = StdRng::from_seed(digest);
    let draw: u64 = rng.random();
    Ok((usize::try_from(draw % places as u64)?, rng))
}

/// A refusal because the case has moved on is no failure: the life reads it again.
pub(super) fn moved_on<T>(result: Rpc<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::Aborted) => Ok(()),
        Err(status) => Err(status.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_row_is_of_the_same_place_every_time_and_of_another_under_another_seed() {
        const PLACES: usize = 117;
        // The place of each of 200 rows, and the next chance.
        let rows = |seed| -> Vec<(usize, u64)> {
            let row = |number| {
                let (place, mut rng) = place_of(seed, number, PLACES).expect("a place");
                (place, rng.random::<u64>())
            };
            (0..200).map(row).collect()
        };
        let (one, other) = (rows(7), rows(8));
        assert_eq!(rows(7), one);
        let moved = one.iter().zip(&other).filter(|(one, other)| one.0 != other.0 && one.1 != other.1);
        assert!(moved.count() > 150);
        let places: BTreeSet<usize> = one.iter().map(|(place, _)| *place).collect();
        assert!(places.len() > PLACES / 2 && places.iter().all(|place| *place < PLACES), "{places:?}");
    }
}
