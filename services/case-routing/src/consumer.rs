//! What the service does when something happened elsewhere: assignments are shown on their tasks, partners' answers
//! move the case by the domain's verbs. This service owns the case: news that comes too late changes nothing and is
//! answered by a withdrawn offer, never by an error. Nor is what the domain refuses: see `News::refused`. What a partner had done in
//! time is not late, whenever it is heard of, unless it was sent back meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change},
    db::Tx,
    event::Event,
    inbox::Consumer,
    proto::{
        analytics::v1::{HotspotDetected, HotspotEnded},
        identity::v1::{AuthorityGranted, AuthorityRefused, UnitChanged},
        staffing::v1::{
            AssignmentAccepted, AssignmentCancelled, AssignmentDeclined, AssignmentDone, AssignmentOffered,
            AssignmentOnSite, AssignmentUnfilled, FundsAllotted, FundsRefused, StaffAssigned,
            StaffUnavailable, TrainingCompleted, TrainingRefused,
        },
        volunteer_matching::v1::{SocialAccepted, SocialCompleted, SocialDeclined, SocialGaveUp},
    },
    topology::{Changes, Unit},
};
use chrono::NaiveDate;
use uuid::Uuid;

use crate::{
    atlas::{Atlas, World},
    calendars::InForce,
    domain::{
        self, AssignmentChanged, AssignmentStatus, Case, CaseId, Decision, DomainEvent, Emitted, OfferId,
        OrgId, Party, PersonRef, TaskId,
        duty::{LegKind, LegNews},
    },
    duty::{Answer, Duties, boxed},
    record::CaseRecord,
    seed,
    store::{case_store::CaseStore, duties, hotspots, hours},
    verb::{act, decided},
};

/// Consumes staffing's, volunteer-matching's, analytics' and identity's events.
pub struct Events {
    atlas: Arc<Atlas>,
    cases: CaseStore,
    duties: Duties,
    by: Caller,
}

impl Events {
    /// Decides with the world of the atlas, as this service.
    pub fn new(atlas: Arc<Atlas>, cases: CaseStore, duties: Duties, service: &str) -> Self {
        Self { atlas, cases, duties, by: Caller::system(service) }
    }
}

/// What an event says about a case.
enum News {
    Assignment { task: TaskId, id: Option<Uuid>, status: AssignmentStatus, worker: String },
    Accepted { offer: OfferId, org: OrgId },
    Declined { offer: OfferId },
    GaveUp { offer: OfferId, org: OrgId, reason: String },
    Completed { offer: OfferId, org: OrgId, evidence: Vec<String> },
}

impl News {
    /// What becomes of the case where the domain refuses what the news ask for. The same event would be refused again, however
    /// often it comes, and all that comes after it would wait: it is passed over, and what it leaves undone is somebody's
    /// already. A partner that accepted and does not lead learns so; of one that declined, gave up or does not go on the time
    /// runs out, and the public service takes over. What a partner has done in time is never refused ([`Case::social_completed`],
    /// [`Case::social_completed_in_time`]).
    fn refused(&self, case: Case, now: Timestamp) -> Option<Decision> {
        match self {
            Self::Accepted { offer, org } => Some(withdrawn(case, *offer, *org, now)),
            Self::Assignment { .. }
            | Self::Declined { .. }
            | Self::GaveUp { .. }
            | Self::Completed { .. } => None,
        }
    }
}

#[async_trait]
impl Consumer for Events {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let (mut told, mut answers) = (Vec::with_capacity(events.len()), Vec::new());
        let mut units = Vec::new();
        for event in events {
            if event.is::<UnitChanged>() {
                units.push(unit(event)?);
            } else if event.is::<HotspotDetected>() {
                on_hotspot_detected(tx, &self.atlas.world(), &event.decode()?).await?;
            } else if event.is::<HotspotEnded>() {
                on_hotspot_ended(tx, &event.decode()?).await?;
            } else if let Some(answer) = duty_answer(event)? {
                answers.push((event.partition_key, answer));
            } else if let Some((case, news)) = news(event)? {
                told.push((event, case, news));
            }
        }
        if !units.is_empty() {
            self.on_units_changed(tx, &units).await?;
        }
        if !answers.is_empty() {
            self.on_duty_answers(tx, answers).await?;
        }
        if told.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<CaseId> = told.iter().map(|(_, case, _)| *case).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut before = self.cases.load(tx.conn, &ids).await?;
        let mut after: BTreeMap<CaseId, CaseRecord> = BTreeMap::new();
        let world = self.atlas.world();
        for (event, id, news) in told {
            let Some(current) = after.get(&id).or_else(|| before.get(&id)) else {
                tracing::warn!(case.id = %id, event.r#type = %event.r#type, "an event of an unknown case is passed over");
                continue;
            };
            let decision = match decide(&world, &current.case, &news, event, tx.now) {
                Ok(decision) => decision,
                Err(refusal) => {
                    tracing::warn!(case.id = %id, event.r#type = %event.r#type, %refusal, "an event that its case refuses is passed over");
                    news.refused(Case::clone(&current.case), tx.now)
                }
            };
            let Some(decision) = decision else { continue };
            let next = decided(Some(current), decision, &self.by);
            tx.caused_by(event);
            for emit in next.events {
                tx.emit(emit);
            }
            after.insert(id, next.aggregate);
        }
        self.save(tx, &mut before, after).await
    }

    async fn caught_up(&self, tx: &mut Tx<'_>, changes: &Changes) -> Result<()> {
        self.on_units_changed(tx, &changes.units).await
    }
}

impl Events {
    async fn save(
        &self,
        tx: &mut Tx<'_>,
        before: &mut HashMap<CaseId, CaseRecord>,
        after: BTreeMap<CaseId, CaseRecord>,
    ) -> Result<()> {
        if after.is_empty() {
            return Ok(());
        }
        let changes = after.into_iter();
        let changes =
            changes.map(|(id, after)| Change { before: before.remove(&id), after, trace: None }).collect();
        self.cases.save_in(tx, changes).await
    }

    /// What lies in a unit that came under other working hours is counted again: that raises the version by which the pass finds
    /// what is behind, whether events tell of the units or, at a start, identity's snapshot. The chassis has noted the units in this
    /// transaction; in memory they are still where they were, unless another replica noted more since memory was read: where they
    /// were is not known then, and they count as moved. A pass too many changes no due time.
    async fn on_units_changed(&self, tx: &mut Tx<'_>, units: &[Unit]) -> Result<()> {
        let ordered = hours::load(tx.conn).await?;
        if ordered.is_empty() {
            return Ok(());
        }
        let before = self.atlas.world().topology.clone();
        // Counted by this transaction, which holds the row: no other comes between.
        let version = hours::version_before(tx.conn).await?;
        let moved = if before.version() == version {
            InForce::of(Vec::new(), ordered).moved_by(seed::usual_hours(), &before, units)
        } else {
            let ids: BTreeSet<Uuid> = units.iter().map(|unit| unit.id).collect();
            ids.into_iter().collect()
        };
        if moved.is_empty() {
            return Ok(());
        }
        tracing::info!(units = moved.len(), "units came under other working hours");
        hours::note_moves(tx.conn, &moved, tx.now).await
    }

    /// Identity and staffing answer what transfers asked for. What caused each change follows from its key.
    async fn on_duty_answers(&self, tx: &mut Tx<'_>, answers: Vec<(Uuid, Answer)>) -> Result<()> {
        let ids: Vec<Uuid> = answers.iter().map(|(id, _)| *id).collect();
        let known = duties::known(tx.conn, &ids).await?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(id, _)| known.contains(id));
        for (id, _) in elsewhere {
            tracing::warn!(duty.id = %id, "an answer to an unknown transfer is passed over");
        }
        let commands = here.into_iter().map(|(id, answer)| (id, boxed(answer))).collect();
        self.duties.apply(tx, &self.by, commands).await?;
        Ok(())
    }
}

/// What an event says about a leg of a transfer.
fn duty_answer(event: &Event) -> Result<Option<Answer>> {
    let confirmed = |leg, reference| Some(Answer { leg, news: LegNews::Confirmed { reference } });
    let refused = |leg, reason_code| Some(Answer { leg, news: LegNews::Refused { reason_code } });
    Ok(if event.is::<AuthorityGranted>() {
        confirmed(LegKind::Authority, event.decode::<AuthorityGranted>()?.basis_ref)
    } else if event.is::<AuthorityRefused>() {
        refused(LegKind::Authority, event.decode::<AuthorityRefused>()?.reason_code)
    } else if event.is::<FundsAllotted>() {
        confirmed(LegKind::Funds, event.decode::<FundsAllotted>()?.fund_line_code)
    } else if event.is::<FundsRefused>() {
        refused(LegKind::Funds, event.decode::<FundsRefused>()?.reason_code)
    } else if event.is::<StaffAssigned>() {
        confirmed(LegKind::Staff, String::new())
    } else if event.is::<StaffUnavailable>() {
        refused(LegKind::Staff, event.decode::<StaffUnavailable>()?.reason_code)
    } else if event.is::<TrainingCompleted>() {
        confirmed(LegKind::Training, event.decode::<TrainingCompleted>()?.record_ref)
    } else if event.is::<TrainingRefused>() {
        refused(LegKind::Training, event.decode::<TrainingRefused>()?.reason_code)
    } else {
        None
    })
}

/// What the event says, and of which case; `None` for types that do not concern cases.
fn news(event: &Event) -> Result<Option<(CaseId, News)>> {
    macro_rules! assignment {
        ($($type:ident => $status:ident),+ $(,)?) => {
            $(if event.is::<$type>() {
                let told: $type = event.decode()?;
                let news = News::Assignment {
                    task: id("task_id", &told.task_id)?,
                    id: Some(id("assignment_id", &told.assignment_id)?),
                    status: AssignmentStatus::$status,
                    worker: told.worker_ref,
                };
                return Ok(Some((id("case_id", &told.case_id)?, news)));
            })+
        };
    }
    assignment! {
        AssignmentOffered => Offered,
        AssignmentAccepted => Accepted,
        AssignmentOnSite => OnSite,
        AssignmentDone => Done,
        // The worker will not do it; staffing offers it to another, or says that nobody can.
        AssignmentDeclined => Cancelled,
        AssignmentCancelled => Cancelled,
    }
    if event.is::<AssignmentUnfilled>() {
        let told: AssignmentUnfilled = event.decode()?;
        let (task, status, worker) =
            (id("task_id", &told.task_id)?, AssignmentStatus::Unfilled, String::new());
        return Ok(Some((
            id("case_id", &told.case_id)?,
            News::Assignment { task, id: None, status, worker },
        )));
    }
    if event.is::<SocialAccepted>() {
        let told: SocialAccepted = event.decode()?;
        let (offer, org) = (id("offer_id", &told.offer_id)?, id("org_id", &told.org_id)?);
        return Ok(Some((id("case_id", &told.case_id)?, News::Accepted { offer, org })));
    }
    if event.is::<SocialDeclined>() {
        let told: SocialDeclined = event.decode()?;
        let offer = id("offer_id", &told.offer_id)?;
        return Ok(Some((id("case_id", &told.case_id)?, News::Declined { offer })));
    }
    if event.is::<SocialGaveUp>() {
        let told: SocialGaveUp = event.decode()?;
        let (offer, org) = (id("offer_id", &told.offer_id)?, id("org_id", &told.org_id)?);
        let reason = if told.reason_code.is_empty() { "gave_up".to_owned() } else { told.reason_code };
        return Ok(Some((id("case_id", &told.case_id)?, News::GaveUp { offer, org, reason })));
    }
    if event.is::<SocialCompleted>() {
        let told: SocialCompleted = event.decode()?;
        let (offer, org) = (id("offer_id", &told.offer_id)?, id("org_id", &told.org_id)?);
        let evidence = told.evidence_refs;
        return Ok(Some((id("case_id", &told.case_id)?, News::Completed { offer, org, evidence })));
    }
    Ok(None)
}

/// A unit as the event has it; without one the event is a defect and is parked.
fn unit(event: &Event) -> Result<Unit> {
    let unit = event.decode::<UnitChanged>()?.unit.ok_or_else(|| Error::invalid("unit", "is missing"))?;
    unit.try_into()
}

/// An id that the event must carry; without it the event is a defect and is parked.
fn id<T: From<Uuid>>(field: &str, text: &str) -> Result<T> {
    text.parse().map(|id: Uuid| T::from(id)).map_err(|_| Error::invalid(field, "is not an id"))
}

/// What the news makes of the case; `None`: nothing.
fn decide(
    world: &World,
    case: &Case,
    news: &News,
    event: &Event,
    now: Timestamp,
) -> domain::Result<Option<Decision>> {
    let act = act(world, event.id, Party::system(), now);
    let case = case.clone();
    match news {
        News::Assignment { task, id, status, worker } => {
            if case.task(*task).is_err() {
                return Ok(None);
            }
            let news = AssignmentChanged {
                task_id: *task,
                assignment_id: id.map(Into::into),
                status: *status,
                worker: (!worker.is_empty()).then(|| PersonRef(worker.clone())),
                at: event.time,
                version: event.aggregate_version,
            };
            case.assignment_changed(news, &act).map(Some)
        }
        News::Accepted { offer, org } => match case.clone().social_accepted(*offer, &act)? {
            None if is_confirmed(&case, *offer) => Ok(None),
            None => Ok(Some(withdrawn(case, *offer, *org, now))),
            decided => Ok(decided),
        },
        // A partner that declined knows that the offer is over.
        News::Declined { offer } => case.social_declined(*offer, &act),
        News::GaveUp { offer, org, reason } => {
            let leads = is_confirmed(&case, *offer);
            if leads && case.is_taken_up() && !case.partner_is_done() {
                let reason = if is_code(reason) { reason } else { "gave_up" };
                case.return_from_society(reason, &act).map(Some)
            } else if leads {
                Ok(None)
            } else {
                Ok(Some(withdrawn(case, *offer, *org, now)))
            }
        }
        News::Completed { offer, org, evidence } => {
            let leads = is_confirmed(&case, *offer);
            // When it was done, not when it is heard: the partner's time may have run out here meanwhile.
            if !leads && !case.was_done_in_time(*offer, event.time) {
                Ok(Some(withdrawn(case, *offer, *org, now)))
            } else if case.was_sent_back_to_partner_since(event.time) {
                // These hours are void with the rework, and the partner is asked for others.
                Ok(None)
            } else if leads {
                case.social_completed(*offer, evidence, &act)
            } else {
                case.social_completed_in_time(*offer, evidence, event.time, &act)
            }
        }
    }
}

fn is_confirmed(case: &Case, offer: OfferId) -> bool {
    case.offer
        .as_ref()
        .is_some_and(|known| known.id == offer && known.confirmed_at.is_some() && known.ended_at.is_none())
}

fn is_code(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    !text.is_empty() && text.len() <= 64 && text.chars().all(safe)
}

/// Tells a partner, once more, that its offer is over.
fn withdrawn(mut case: Case, offer_id: OfferId, partner_org_id: OrgId, now: Timestamp) -> Decision {
    case.version += 1;
    case.updated_at = case.updated_at.max(now);
    let reason_code = "case_moved_on".to_owned();
    let told = Emitted {
        case_id: case.id,
        version: case.version,
        facts: case.facts(),
        event: DomainEvent::CaseOfferWithdrawn { offer_id, partner_org_id, reason_code },
    };
    Decision { case, events: vec![told], timeline: Vec::new() }
}

/// Analytics found more cases than a place's own history explains, or that this is over.
async fn on_hotspot_detected(tx: &mut Tx<'_>, world: &World, told: &HotspotDetected) -> Result<()> {
    let unit_id: Uuid = id("unit_id", &told.unit_id)?;
    let path = world.topology.path(unit_id);
    let news = hotspots::News {
        hotspot_id: id("hotspot_id", &told.hotspot_id)?,
        unit_id,
        place_path: path.map_or_else(|| vec![unit_id], |path| path.to_vec()),
        item_code: told.item_code.clone(),
        line: told.line.clone(),
        start_date: day("start_date", &told.start_date)?,
        end_date: day("end_date", &told.end_date)?,
        count: told.count,
        expected: told.expected,
        p_value: told.p_value,
        definition_version: told.definition_version,
    };
    hotspots::note(tx.conn, &news, tx.now).await
}

async fn on_hotspot_ended(tx: &mut Tx<'_>, told: &HotspotEnded) -> Result<()> {
    let hotspot: Uuid = id("hotspot_id", &told.hotspot_id)?;
    hotspots::note_end(tx.conn, hotspot, day("end_date", &told.end_date)?).await
}

/// A day that the event must carry; without it the event is a defect and is parked.
fn day(field: &str, text: &str) -> Result<NaiveDate> {
    text.parse().map_err(|_| Error::invalid(field, "is not a day"))
}
