//! Which of the five (五个到社区) have come with duties in force, as far as the duties themselves tell. It is read from their rows
//! and from the lists in memory; no case is looked at, and no figure of a community given (C-11).

use chassis::{Result, Timestamp, auth::Caller, page, proto::case_routing::v1 as pb};
use uuid::Uuid;

use super::{
    convert::limit,
    duty::{DutyRpc, orgs_within},
    duty_forms as forms,
};
use crate::{
    atlas::World,
    domain::{
        UnitId,
        duty::{Arrival, ArrivalState, ItemStanding, Leg, since},
    },
    duty::{Duty, posts},
    store::duties,
};

impl DutyRpc {
    /// Of one duty within reach.
    pub(super) async fn arrivals_of(&self, caller: &Caller, id: Uuid) -> Result<pb::DutyArrivals> {
        let duty = self.find(caller, id).await?;
        // A duty and the list that follows it are committed together: the list is not to be older than the duty.
        self.changed().await;
        told(&duty, &self.desk.atlas.world(), self.desk.clock.now())
    }

    /// Of all in force within reach.
    pub(super) async fn list_arrivals(
        &self,
        caller: &Caller,
        request: pb::ListDutyArrivalsRequest,
    ) -> Result<pb::ListDutyArrivalsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let below: Uuid = page::decode(&request.page_token)?.unwrap_or(Uuid::max());
        let orgs = orgs_within(&self.desk.atlas.world(), caller);
        let mut conn = self.desk.db.conn().await?;
        let mut rows = duties::in_force(&mut conn, &orgs, below, size + 1).await?;
        drop(conn);
        let next_page_token = page::cut(&mut rows, size, Duty::id);
        self.changed().await;
        let (world, now) = (self.desk.atlas.world(), self.desk.clock.now());
        let arrivals = rows.iter().map(|duty| told(duty, &world, now)).collect::<Result<Vec<_>>>()?;
        Ok(pb::ListDutyArrivalsResponse { arrivals, next_page_token })
    }
}

/// A duty in force with its items as the lists have them at an instant.
fn told(duty: &Duty, world: &World, now: Timestamp) -> Result<pb::DutyArrivals> {
    let (unit, line, first, part) = match duty {
        Duty::Transfer(own) => (own.to_unit, &own.line, own.effective_at, pb::TaskPart::Lead),
        Duty::Admission(own) => (own.to_unit, &own.line, own.valid_from, pb::TaskPart::Assist),
    };
    let place: Vec<UnitId> =
        world.topology.path(unit.0).unwrap_or_default().iter().copied().map(UnitId).collect();
    let listed = duty.standing();
    let rule_id = |code: &str| listed.as_ref().map(|listed| listed.rule_id(code)).unwrap_or_default();
    let today = calendar::local_day(now);
    let standing = |code: &String| {
        let item = world.item(code, now);
        let entry = world.listed(&place, &rule_id(code), now).filter(|entry| entry.holds_on(today));
        ItemStanding {
            item: code.clone(),
            listed_from: entry.map(|entry| entry.from),
            promised: item.map(|item| item.promised_limit.into()),
            statutory: item.and_then(|item| item.statutory_limit).map(Into::into),
        }
    };
    let items: Vec<ItemStanding> = duty.items().iter().map(standing).collect();
    let found = duty.arrivals(&items)?;
    let shown = |item: &ItemStanding| pb::ItemArrival {
        item_code: item.item.clone(),
        rule_id: if item.listed_from.is_some() { rule_id(&item.item) } else { String::new() },
        listed_from: item.listed_from.map(|day| day.to_string()).unwrap_or_default(),
        part: part.into(),
        promised_limit: item.promised.map(limit),
        statutory_limit: item.statutory.map(limit),
    };
    let [from, to] = duty.orgs();
    Ok(pb::DutyArrivals {
        duty_id: duty.id().to_string(),
        admission: matches!(duty, Duty::Admission(_)),
        from_org_id: from.to_string(),
        to_org_id: to.to_string(),
        unit_id: unit.to_string(),
        line: line.clone().unwrap_or_default(),
        since_date: since(&items, calendar::local_day(first)).to_string(),
        list_version: world.list_version(&place, now).unwrap_or_default(),
        items: items.iter().map(shown).collect(),
        staff: Some(staff(duty, found.staff)),
        tasks: Some(arrival(found.tasks)),
        promise: Some(arrival(found.promise)),
        funds: Some(funds(duty, found.funds)),
    })
}

fn arrival(found: Arrival) -> pb::Arrival {
    let state = match found.state {
        ArrivalState::Arrived => pb::ArrivalState::Arrived,
        ArrivalState::NotYet => pb::ArrivalState::NotYet,
        ArrivalState::Unknown => pb::ArrivalState::Unknown,
    };
    pb::Arrival { state: state.into(), reason_code: found.reason_code.to_owned() }
}

fn staff(duty: &Duty, found: Arrival) -> pb::StaffArrival {
    let (needs, courses, confirmation, training) = match duty {
        Duty::Transfer(own) => {
            let confirmation = Some(forms::leg(&own.legs.staff));
            (&own.posts, &own.training_codes, confirmation, forms::training(own))
        }
        Duty::Admission(own) => (&own.posts, &own.training_codes, None, None),
    };
    pb::StaffArrival {
        arrival: Some(arrival(found)),
        promised_posts: posts(needs),
        training_codes: courses.clone(),
        confirmation,
        training,
    }
}

/// Staffing allots what was asked for, or nothing.
fn funds(duty: &Duty, found: Arrival) -> pb::FundsArrival {
    let (promised_fen, allotted_fen, fund_line_code) = match duty {
        Duty::Transfer(own) => match &own.legs.funds {
            Leg::Confirmed { reference, .. } => (own.fund_fen, Some(own.fund_fen), reference.clone()),
            Leg::Open | Leg::Refused { .. } => (own.fund_fen, Some(0), String::new()),
        },
        Duty::Admission(own) => (own.fund_fen, None, String::new()),
    };
    pb::FundsArrival { arrival: Some(arrival(found)), promised_fen, allotted_fen, fund_line_code }
}
