//! What identity does when something happens elsewhere: transfers of duties ask for authority, take effect and end. Every
//! event may come twice, and one about a transfer that is over changes nothing.

use async_trait::async_trait;
use chassis::{
    Error, Result,
    db::Tx,
    event::{Emit, Event},
    inbox::Consumer,
};
use proto::{
    case_routing::v1::{DutyEffective, DutyEnded, DutyRolledBack, DutyTransferProposed},
    identity::v1::AuthorityWithdrawn,
};
use uuid::Uuid;

use crate::{
    domain::duty_authority::{AuthorityState, DutyAuthority},
    store::duty_authorities,
};

/// Consumes case-routing's events about duties.
#[derive(Clone, Copy, Debug)]
pub struct IdentityConsumer;

#[async_trait]
impl Consumer for IdentityConsumer {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        for event in events {
            if event.is::<DutyTransferProposed>() {
                on_duty_transfer_proposed(tx, event.decode()?).await?;
            } else if event.is::<DutyEffective>() {
                on_duty_effective(tx, event.partition_key).await?;
            } else if event.is::<DutyRolledBack>() {
                on_duty_over(tx, event.partition_key, "rolled_back").await?;
            } else if event.is::<DutyEnded>() {
                on_duty_over(tx, event.partition_key, "ended").await?;
            }
        }
        Ok(())
    }
}

/// Authority is asked for, once.
async fn on_duty_transfer_proposed(tx: &mut Tx<'_>, told: DutyTransferProposed) -> Result<()> {
    let transfer_id = id("duty_transfer_id", &told.duty_transfer_id)?;
    if duty_authorities::lock(tx.conn, transfer_id).await?.is_some() {
        return Ok(());
    }
    let asked = DutyAuthority {
        transfer_id,
        state: AuthorityState::Asked,
        from_org_id: id("from_org_id", &told.from_org_id)?,
        to_org_id: id("to_org_id", &told.to_org_id)?,
        line: Some(told.line).filter(|line| !line.is_empty()),
        item_codes: told.item_codes,
        proposed_by: told.proposed_by,
        basis_ref: String::new(),
        reason_code: String::new(),
        decided_by: String::new(),
        decided_at: None,
        effective: false,
        closed: false,
        version: 1,
    };
    duty_authorities::write(tx.conn, &asked).await
}

/// From now on it is not refused here any more.
async fn on_duty_effective(tx: &mut Tx<'_>, transfer: Uuid) -> Result<()> {
    let known = duty_authorities::lock(tx.conn, transfer).await?;
    match known.and_then(DutyAuthority::take_effect) {
        Some(one) => duty_authorities::write(tx.conn, &one).await,
        None => Ok(()),
    }
}

/// What was granted for it is given back, once.
async fn on_duty_over(tx: &mut Tx<'_>, transfer: Uuid, reason_code: &str) -> Result<()> {
    let known = duty_authorities::lock(tx.conn, transfer).await?;
    let Some((one, held)) = known.and_then(|known| known.close(reason_code)) else { return Ok(()) };
    duty_authorities::write(tx.conn, &one).await?;
    if held {
        let event = AuthorityWithdrawn {
            duty_transfer_id: transfer.to_string(),
            to_org_id: one.to_org_id.to_string(),
            reason_code: reason_code.to_owned(),
        };
        tx.emit(Emit::new(transfer, one.version, &event).line(one.line.as_deref()));
    }
    Ok(())
}

/// An id in an event. One that is none is a defect of the sender, which parks the event.
fn id(field: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::internal(format!("{field} of an event is no id")))
}
