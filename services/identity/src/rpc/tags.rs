//! Tags that people carry: sensitive, so that every look leaves an audit entry, also when it is refused (I-5).

use chassis::{Error, Result, Timestamp, auth::Caller, clock::to_proto, db::Tx};
use proto::identity::v1::{self as pb, GetPersonTagsRequest, GetPersonTagsResponse};

use super::{
    Identity,
    person::{access, may_see},
    reach,
};
use crate::{
    domain::{
        PersonId,
        audit::Decision,
        personal::KIND,
        purpose::{self, Field},
        tag::PersonTag,
    },
    store::{audit, people, tags},
};

impl Identity {
    pub(super) async fn person_tags(
        &self,
        caller: &Caller,
        request: &GetPersonTagsRequest,
    ) -> Result<GetPersonTagsResponse> {
        let id = PersonId::parse("person_id", &request.person_id)?;
        let (units, own) = (reach(caller), caller.person_id == id.0);
        // The refusal is committed with its entry, so it is carried out of the transaction as a value.
        let (outcome, now) = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let row = if own {
                    people::get(tx.conn, id).await?
                } else {
                    people::within(tx.conn, id, &units).await?
                };
                let outcome = match row {
                    None => Err(Error::not_found(KIND, id)),
                    Some(row) => {
                        if own || may_see(tx, caller, &row).await? {
                            Ok(tags::of(tx.conn, &self.crypto, id).await?)
                        } else {
                            Err(Error::Forbidden)
                        }
                    }
                };
                let decision = if outcome.is_ok() { Decision::Allow } else { Decision::Deny };
                let access = access(tx, caller, "GetPersonTags", Some(id), "", decision);
                audit::append(tx.conn, &self.crypto, access).await?;
                Ok((outcome, tx.now))
            })
            .await?;
        let covered = purpose::covers(&caller.purpose, Field::Tag);
        let carried = outcome?.into_iter().filter(|_| covered);
        Ok(GetPersonTagsResponse { tags: carried.filter_map(|tag| shown(tag, now)).collect() })
    }
}

fn shown(tag: PersonTag, now: Timestamp) -> Option<pb::PersonTag> {
    let review_due = tag.review_due(now);
    let carried = tag.carried?;
    Some(pb::PersonTag {
        tag_code: carried.code,
        since_time: Some(to_proto(carried.since)),
        review_time: tag.review_at.map(to_proto),
        review_due,
        benefit_id: tag.benefit_id.to_string(),
    })
}
