//! What identity does when something happens elsewhere: transfers of duties ask for authority, take effect and end; lasting
//! benefits tag people. Every event may come twice, and one about a transfer or benefit that is over changes nothing.

use async_trait::async_trait;
use chassis::{
    Error, Result, Timestamp,
    clock::from_proto,
    crypto::Crypto,
    db::Tx,
    event::{Emit, Event},
    inbox::Consumer,
};
use proto::{
    case_routing::v1::{
        BenefitEnded, BenefitGranted, BenefitRenewed, BenefitReviewMoved, DutyEffective, DutyEnded,
        DutyRolledBack, DutyTransferProposed,
    },
    identity::v1::AuthorityWithdrawn,
};
use uuid::Uuid;

use crate::{
    domain::{
        PersonId,
        duty_authority::{AuthorityState, DutyAuthority},
        tag::{Carried, PersonTag, TagNews},
    },
    store::{duty_authorities, people, tags},
};

/// Purpose under which case-routing seals who has a benefit.
const HOLDER: &str = "benefit_holder";

/// Consumes case-routing's events about duties and benefits.
#[derive(Clone, Debug)]
pub struct IdentityConsumer {
    crypto: Crypto,
}

impl IdentityConsumer {
    /// With the keys of the suite.
    pub fn new(crypto: Crypto) -> Self {
        Self { crypto }
    }
}

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
            } else if event.is::<BenefitGranted>() {
                self.on_benefit_granted(tx, event, event.decode()?).await?;
            } else if event.is::<BenefitRenewed>() {
                let review_at = review(event.decode::<BenefitRenewed>()?.review_time)?;
                self.hear(tx, event, TagNews::Renewed { review_at }).await?;
            } else if event.is::<BenefitReviewMoved>() {
                let review_at = review(event.decode::<BenefitReviewMoved>()?.review_time)?;
                self.hear(tx, event, TagNews::ReviewMoved { review_at }).await?;
            } else if event.is::<BenefitEnded>() {
                self.hear(tx, event, TagNews::Ended).await?;
            }
        }
        Ok(())
    }
}

impl IdentityConsumer {
    /// Whoever has it carries its tag from now on. Who that is stands sealed in the event.
    async fn on_benefit_granted(&self, tx: &mut Tx<'_>, event: &Event, told: BenefitGranted) -> Result<()> {
        let benefit = event.partition_key;
        let holder = self.crypto.open(HOLDER, &told.holder_sealed, benefit.as_bytes())?;
        let person_id = PersonId(Uuid::from_slice(&holder).map_err(Error::internal)?);
        if people::get(tx.conn, person_id).await?.is_none() {
            tracing::warn!(benefit.id = %benefit, "a benefit of somebody unknown leaves no tag");
            return Ok(());
        }
        let carried = Carried { person_id, code: told.tag_code, since: event.time };
        let review_at = review(told.review_time)?;
        self.hear(tx, event, TagNews::Granted { carried, review_at }).await
    }

    /// What is told of a benefit changes its tag, once.
    async fn hear(&self, tx: &mut Tx<'_>, event: &Event, news: TagNews) -> Result<()> {
        let benefit = event.partition_key;
        let known = tags::lock(tx.conn, &self.crypto, benefit).await?;
        let tag = known.unwrap_or_else(|| PersonTag::unknown(benefit));
        match tag.hear(news, event.aggregate_version) {
            Some(tag) => tags::write(tx.conn, &self.crypto, &tag).await,
            None => Ok(()),
        }
    }
}

/// The review day of an event. One without is a defect of the sender, which parks the event.
fn review(at: Option<prost_types::Timestamp>) -> Result<Timestamp> {
    at.as_ref().and_then(from_proto).ok_or_else(|| Error::internal("an event of a benefit has no review day"))
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
