//! News of lasting benefits on the wire. Who has one is told sealed: events are kept, and must not say who is on benefits.

use chassis::{Timestamp, clock::to_proto, crypto::Crypto, event::Emit, proto::case_routing::v1 as pb};
use uuid::Uuid;

use crate::{
    domain::{BenefitChange, BenefitNews as N, Case},
    store::benefit_days::Waiting,
};

/// Purpose under which the holder of a benefit is sealed; identity opens it by the same.
const HOLDER: &str = "benefit_holder";

/// Who has the benefit that an application grants: its requester, sealed and bound to it. `None` where nobody applied, which
/// no application of ours is without.
pub fn holder(crypto: &Crypto, case: &Case) -> Option<Vec<u8>> {
    let person: Uuid = case.requester.as_ref()?.0.parse().ok()?;
    Some(crypto.seal(HOLDER, person.as_bytes(), case.id.0.as_bytes()))
}

/// The review day of a benefit became a rest day, and moved to the next working day: the benefit as it stands now, and the day
/// before.
pub fn review_moved(benefit: &Waiting, before: Timestamp, calendar_version: u32) -> Emit {
    let event = pb::BenefitReviewMoved {
        benefit_id: benefit.benefit_id.to_string(),
        tag_code: benefit.tag_code.clone(),
        review_before_time: Some(to_proto(before)),
        review_time: Some(to_proto(benefit.review_at)),
        calendar_version: i32::try_from(calendar_version).unwrap_or(i32::MAX),
    };
    let emit = Emit::new(benefit.benefit_id, benefit.version, &event);
    emit.unit(benefit.place_unit_id).line(benefit.line.as_deref())
}

/// The event of a change that was decided with a case.
pub fn emit(change: &BenefitChange, case: &Case) -> Emit {
    let (benefit_id, tag_code) = (change.benefit.to_string(), change.tag_code.clone());
    let (key, version) = (change.benefit.0, change.version);
    let emit = match &change.news {
        N::Granted { holder_sealed, review_at, .. } => {
            let (holder_sealed, review_time) = (holder_sealed.clone(), Some(to_proto(*review_at)));
            let event = pb::BenefitGranted { benefit_id, tag_code, holder_sealed, review_time };
            Emit::new(key, version, &event)
        }
        N::Renewed { review_at, .. } => {
            let review_time = Some(to_proto(*review_at));
            Emit::new(key, version, &pb::BenefitRenewed { benefit_id, tag_code, review_time })
        }
        N::Ended { reason_code } => {
            let reason_code = reason_code.clone();
            Emit::new(key, version, &pb::BenefitEnded { benefit_id, tag_code, reason_code })
        }
    };
    emit.unit(case.place.unit.0).line(case.item.as_ref().and_then(|item| item.line.as_deref()))
}
