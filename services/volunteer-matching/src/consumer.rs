//! What the service does when something happened elsewhere. case-routing owns the case and its deadlines, so its word
//! always stands here: an event that finds the offer already past it changes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use chassis::{
    Result, Timestamp,
    command::{AggregateStore, Change},
    db::Tx,
    event::{Emit, Event},
    inbox::Consumer,
    proto::{
        auth::v1::Role,
        case_routing::v1::{
            CaseClosed, CaseCompleted, CaseOfferConfirmed, CaseOfferWithdrawn, CaseOffered,
            CaseReturnedFromSociety, CaseReworkOrdered, CaseWithdrawn, ClockMoved,
        },
        identity::v1::{RoleGranted, RoleRevoked},
        volunteer_matching::v1::ServiceRecordLocked,
    },
    topology::Shared,
};
use uuid::Uuid;

use crate::{
    domain::{
        OfferId, Volunteer, VolunteerId, VolunteerState,
        offer::{Offer, OfferState, Verb},
        ranking::rank,
    },
    seed::Partners,
    store::{
        announced::{self, Announced, Ended},
        offers::OfferStore,
        volunteers,
    },
};

/// Consumes case-routing's and identity's events.
pub struct Events {
    topology: Arc<Shared>,
    partners: Arc<Partners>,
}

impl Events {
    /// Ranks by the present topology; skills that volunteers did not tell come from the partners' list.
    pub fn new(topology: Arc<Shared>, partners: Arc<Partners>) -> Self {
        Self { topology, partners }
    }
}

/// The offers a batch touches: as loaded, and as the events leave them.
#[derive(Default)]
struct Batch {
    before: HashMap<OfferId, Offer>,
    after: BTreeMap<OfferId, Offer>,
}

#[async_trait]
impl Consumer for Events {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        hear_of_people(tx, events).await?;
        let ids: Vec<_> =
            events.iter().map(offer_of).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let before = OfferStore.load(tx.conn, &ids).await?;
        let mut batch =
            Batch { after: before.iter().map(|(id, offer)| (*id, offer.clone())).collect(), before };
        for event in events {
            tx.caused_by(event);
            self.one(tx, event, &mut batch).await?;
        }
        let Batch { mut before, after } = batch;
        let changes = after
            .into_iter()
            .map(|(id, after)| Change { before: before.remove(&id), after, trace: None })
            .collect();
        OfferStore.save(tx.conn, changes).await
    }
}

/// The offer an event is about, if any.
fn offer_of(event: &Event) -> Result<Option<OfferId>> {
    let text = if event.is::<CaseOffered>() {
        event.decode::<CaseOffered>()?.offer_id
    } else if event.is::<CaseOfferConfirmed>() {
        event.decode::<CaseOfferConfirmed>()?.offer_id
    } else if event.is::<CaseOfferWithdrawn>() {
        event.decode::<CaseOfferWithdrawn>()?.offer_id
    } else if event.is::<CaseReturnedFromSociety>() {
        event.decode::<CaseReturnedFromSociety>()?.offer_id
    } else if event.is::<CaseCompleted>() {
        event.decode::<CaseCompleted>()?.offer_id
    } else if event.is::<CaseReworkOrdered>() {
        event.decode::<CaseReworkOrdered>()?.offer_id
    } else if event.is::<ClockMoved>() {
        event.decode::<ClockMoved>()?.offer_id
    } else if event.is::<CaseClosed>() {
        event.decode::<CaseClosed>()?.offer_id
    } else if event.is::<CaseWithdrawn>() {
        event.decode::<CaseWithdrawn>()?.offer_id
    } else {
        return Ok(None);
    };
    // Most cases never had an offer.
    Ok(text.parse().ok().map(OfferId))
}

impl Events {
    async fn one(&self, tx: &mut Tx<'_>, event: &Event, batch: &mut Batch) -> Result<()> {
        if event.is::<RoleGranted>() {
            return on_role_granted(tx, &event.decode()?).await;
        }
        if event.is::<RoleRevoked>() {
            return on_role_revoked(tx, &event.decode()?).await;
        }
        if event.is::<CaseOffered>() {
            return self.on_case_offered(tx, event, batch).await;
        }
        let Some(id) = offer_of(event)? else { return Ok(()) };
        let Some(offer) = batch.after.get_mut(&id) else { return Ok(()) };
        let now = tx.now;
        if event.is::<CaseOfferConfirmed>() {
            turn(offer, Verb::Confirm, now);
        } else if event.is::<ClockMoved>() {
            let due = event.decode::<ClockMoved>()?.due_time.as_ref().and_then(chassis::clock::from_proto);
            if let Some(deferred) = due.and_then(|due| offer.deferred(due, now)) {
                *offer = deferred;
            }
        } else if event.is::<CaseOfferWithdrawn>() {
            let late = event.decode::<CaseOfferWithdrawn>()?.reason_code == "timed_out";
            turn(offer, if late { Verb::Expire } else { Verb::Withdraw }, now);
        } else if event.is::<CaseReturnedFromSociety>() {
            let overdue = event.decode::<CaseReturnedFromSociety>()?.reason_code == "overdue";
            // What was done before that is not undone: case-routing hears of it, and its word follows.
            if !(overdue && offer.was_done_by(event.time)) {
                turn(offer, Verb::Withdraw, now);
            }
        } else if event.is::<CaseWithdrawn>() {
            turn(offer, Verb::Withdraw, now);
        } else if event.is::<CaseCompleted>() {
            // By its own word a partner has completed its offer before.
            turn(offer, Verb::Settle, now);
        } else if event.is::<CaseReworkOrdered>() {
            // What was told after the work had gone back is what was asked for: case-routing, too, goes by the time.
            if !offer.has_hours_since(event.time) {
                turn(offer, Verb::Rework, now);
            }
        } else if event.is::<CaseClosed>()
            && let Some(closed) = offer.close(now)
        {
            *offer = closed;
            if offer.has_locked_hours() {
                tx.emit(record_locked(offer));
            }
        }
        Ok(())
    }

    async fn on_case_offered(&self, tx: &mut Tx<'_>, event: &Event, batch: &mut Batch) -> Result<()> {
        let offered: CaseOffered = event.decode()?;
        let id = OfferId(parse("offer_id", &offered.offer_id)?);
        if batch.after.contains_key(&id) {
            return Ok(());
        }
        let org_id = parse("partner_org_id", &offered.partner_org_id)?;
        let mode = offered.mode().as_str_name().trim_start_matches("DISPATCH_MODE_").to_ascii_lowercase();
        let facts = offered.facts.unwrap_or_default();
        let place_unit_id = facts.place_unit_id.parse().ok();
        let topology = self.topology.load();
        let path = place_unit_id.and_then(|unit| topology.path(unit));
        let mut volunteers = volunteers::active_of(tx.conn, &[org_id]).await?;
        self.partners.stand_in(&topology, &mut volunteers);
        let candidates =
            rank(&volunteers, &offered.skill_codes, path.as_deref().unwrap_or_default(), |home| {
                topology.path(home).map(|path| path.to_vec()).unwrap_or_default()
            });
        let due = offered.offer_due_time.as_ref().and_then(chassis::clock::from_proto);
        let offer = Offer {
            id,
            case_id: parse("case_id", &offered.case_id)?,
            org_id,
            mode,
            state: OfferState::Offered,
            item_code: facts.item_code,
            place_unit_id,
            skill_codes: offered.skill_codes,
            due_at: due.ok_or_else(|| chassis::Error::invalid("offer_due_time", "is required"))?,
            candidates,
            volunteer_id: None,
            volunteer_person: None,
            volunteer_ref: String::new(),
            stepped_back: Vec::new(),
            record: None,
            closed_at: None,
            version: 1,
            created_at: tx.now,
            updated_at: tx.now,
        };
        batch.after.insert(id, offer);
        Ok(())
    }
}

/// Who is where. A grant that is told and ends in one batch has ended.
async fn hear_of_people(tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
    let (mut granted, mut ended) = (Vec::new(), Vec::new());
    for event in events {
        if event.is::<RoleGranted>() {
            let told: RoleGranted = event.decode()?;
            granted.push(Announced {
                grant_id: parse("grant_id", &told.grant_id)?,
                person_id: parse("person_id", &told.person_id)?,
                unit_id: told.unit_id.parse().ok(),
                org_id: told.org_id.parse().ok(),
                person_ref: told.person_ref,
            });
        } else if event.is::<RoleRevoked>() {
            let told: RoleRevoked = event.decode()?;
            ended.push(Ended {
                grant_id: parse("grant_id", &told.grant_id)?,
                person_id: parse("person_id", &told.person_id)?,
            });
        }
    }
    announced::add(tx.conn, &granted).await?;
    announced::end(tx.conn, &ended).await
}

async fn on_role_granted(tx: &mut Tx<'_>, granted: &RoleGranted) -> Result<()> {
    // Whoever volunteers for no organisation yet cannot be chosen by one.
    if granted.role() != Role::Volunteer || granted.org_id.is_empty() {
        return Ok(());
    }
    let volunteer = Volunteer {
        id: VolunteerId(chassis::clock::new_id()),
        person_id: parse("person_id", &granted.person_id)?,
        volunteer_ref: granted.person_ref.clone(),
        org_id: parse("org_id", &granted.org_id)?,
        home_unit_id: granted.unit_id.parse().ok(),
        skill_codes: None,
        state: VolunteerState::Active,
        locked_minutes: 0,
        open_offers: 0,
    };
    volunteers::learn(tx.conn, &volunteer, parse("grant_id", &granted.grant_id)?, tx.now).await
}

async fn on_role_revoked(tx: &mut Tx<'_>, revoked: &RoleRevoked) -> Result<()> {
    if revoked.role() != Role::Volunteer {
        return Ok(());
    }
    volunteers::leave(tx.conn, parse("grant_id", &revoked.grant_id)?).await
}

/// Turns the offer if the verb is allowed; an offer that is past it stays as it is.
fn turn(offer: &mut Offer, verb: Verb, now: Timestamp) {
    if offer.state.after(verb).is_none() {
        return;
    }
    let turned = match verb {
        Verb::Rework => offer.rework(now),
        Verb::Withdraw | Verb::Expire => offer.withdraw(verb, now),
        _ => offer.turn(verb, now),
    };
    if let Ok(turned) = turned {
        *offer = turned;
    }
}

fn record_locked(offer: &Offer) -> Emit {
    let (record_id, minutes) =
        offer.record.as_ref().map(|record| (record.id.to_string(), record.minutes)).unwrap_or_default();
    let event = ServiceRecordLocked {
        case_id: offer.case_id.to_string(),
        record_id,
        offer_id: offer.id.to_string(),
        org_id: offer.org_id.to_string(),
        volunteer_ref: offer.volunteer_ref.clone(),
        minutes,
    };
    Emit::new(offer.case_id, offer.version, &event).unit_opt(offer.place_unit_id).subject(offer.id)
}

/// An id an event carries; an event without it is a defect and is parked.
fn parse(field: &str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| chassis::Error::invalid(field, "is not an id"))
}
