//! What transfers of duties set off here: they ask for money, posts and courses, take effect, and end. Every event may come twice,
//! and one about a transfer that is over changes nothing.

use chassis::{
    Result,
    clock::from_proto,
    db::Tx,
    event::{Emit, Event},
};
use proto::{
    case_routing::v1::{DutyEffective, DutyEnded, DutyRolledBack, DutyTransferProposed},
    staffing::v1::{FundsReturned, StaffAssigned, StaffReleased, StaffUnavailable},
};
use uuid::Uuid;

use crate::{
    domain::{
        OrgId, PostKind, Worker,
        duty::{Demand, LegState, Returned},
    },
    store::demands,
    workforce::uuid,
};

/// Carries an event about a duty out; whether it was one.
pub async fn handle(tx: &mut Tx<'_>, event: &Event) -> Result<bool> {
    if event.is::<DutyTransferProposed>() {
        on_duty_transfer_proposed(tx, event.decode()?).await?;
    } else if event.is::<DutyEffective>() {
        on_duty_effective(tx, event.partition_key).await?;
    } else if event.is::<DutyRolledBack>() {
        on_duty_over(tx, event, true).await?;
    } else if event.is::<DutyEnded>() {
        on_duty_over(tx, event, false).await?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Money, posts and courses are asked for, once.
async fn on_duty_transfer_proposed(tx: &mut Tx<'_>, told: DutyTransferProposed) -> Result<()> {
    let transfer_id = uuid("duty_transfer_id", &told.duty_transfer_id)?;
    if demands::lock(tx.conn, transfer_id).await?.is_some() {
        return Ok(());
    }
    let needs = told.posts.iter().filter_map(|need| Some((PostKind::from_number(need.kind)?, need.count)));
    let deadline = told.deadline_time.as_ref().and_then(from_proto).unwrap_or(tx.now);
    let demand = Demand {
        transfer_id,
        from_org_id: OrgId(uuid("from_org_id", &told.from_org_id)?),
        to_org_id: OrgId(uuid("to_org_id", &told.to_org_id)?),
        needs: needs.collect(),
        line: Some(told.line).filter(|line| !line.is_empty()),
        fund_fen: told.fund_fen,
        deadline,
        funds: LegState::Asked,
        fund_line_id: None,
        staff: LegState::Asked,
        post_ids: Vec::new(),
        training_codes: told.training_codes,
        training: LegState::Asked,
        training_ref: String::new(),
        effective: false,
        closed: false,
        version: 1,
    };
    demands::write(tx.conn, &demand).await
}

/// From now on nothing is refused here any more.
async fn on_duty_effective(tx: &mut Tx<'_>, transfer: Uuid) -> Result<()> {
    match demands::lock(tx.conn, transfer).await?.and_then(Demand::take_effect) {
        Some(demand) => demands::write(tx.conn, &demand).await,
        None => Ok(()),
    }
}

/// What was granted for it is given back, once.
async fn on_duty_over(tx: &mut Tx<'_>, event: &Event, rolled_back: bool) -> Result<()> {
    let known = demands::lock(tx.conn, event.partition_key).await?;
    let Some((demand, returned)) = known.and_then(|known| known.close(rolled_back)) else { return Ok(()) };
    tx.caused_by(event);
    give_back(tx, &demand, returned).await?;
    tx.set_origin(None);
    demands::write(tx.conn, &demand).await
}

/// Gives back and tells of it.
pub async fn give_back(tx: &mut Tx<'_>, demand: &Demand, returned: Returned) -> Result<()> {
    let (id, version) = (demand.transfer_id, demand.version);
    let (duty_transfer_id, to_org_id) = (id.to_string(), demand.to_org_id.to_string());
    let line = demands::give_back(tx.conn, id, demand.fund_fen, &returned).await?;
    if let Some(fund_line_code) = line {
        let event = FundsReturned {
            duty_transfer_id: duty_transfer_id.clone(),
            to_org_id: to_org_id.clone(),
            amount_fen: demand.fund_fen,
            fund_line_code,
        };
        tx.emit(Emit::new(id, version, &event).line(demand.line.as_deref()));
    }
    if !returned.post_ids.is_empty() {
        let post_ids = returned.post_ids.iter().map(ToString::to_string).collect();
        let event = StaffReleased { duty_transfer_id, to_org_id, post_ids };
        tx.emit(Emit::new(id, version, &event).line(demand.line.as_deref()));
    }
    Ok(())
}

/// Somebody left a post that a transfer counts on: there is nobody for it any more, at once, also when it is in effect (C-12).
pub async fn left(tx: &mut Tx<'_>, leaving: &[Worker]) -> Result<()> {
    let posts: Vec<Uuid> = leaving.iter().map(|worker| worker.post_id.0).collect();
    for demand in demands::lock_counting_on(tx.conn, &posts).await? {
        let Some((demand, returned)) = demand.vacated() else { continue };
        give_back(tx, &demand, returned).await?;
        let told = StaffUnavailable {
            duty_transfer_id: demand.transfer_id.to_string(),
            to_org_id: demand.to_org_id.to_string(),
            reason_code: "post_vacant".to_owned(),
        };
        tx.emit(Emit::new(demand.transfer_id, demand.version, &told).line(demand.line.as_deref()));
        demands::write(tx.conn, &demand).await?;
    }
    Ok(())
}

/// Somebody is on posts: a transfer in effect of which one was vacant has its staff again once every post of it is held.
pub async fn held(tx: &mut Tx<'_>, posts: &[Uuid]) -> Result<()> {
    if posts.is_empty() {
        return Ok(());
    }
    for demand in demands::lock_counting_on(tx.conn, posts).await? {
        let filled = demands::filled(tx.conn, demand.transfer_id).await?;
        let Some(demand) = demand.held_again(&filled) else { continue };
        tell_assigned(tx, &demand);
        demands::write(tx.conn, &demand).await?;
    }
    Ok(())
}

/// Tells that each of the named posts has somebody on it.
pub fn tell_assigned(tx: &mut Tx<'_>, demand: &Demand) {
    let told = StaffAssigned {
        duty_transfer_id: demand.transfer_id.to_string(),
        to_org_id: demand.to_org_id.to_string(),
        post_ids: demand.post_ids.iter().map(ToString::to_string).collect(),
    };
    tx.emit(Emit::new(demand.transfer_id, demand.version, &told).line(demand.line.as_deref()));
}
