//! Precedents: final rulings that later versions of the responsibility list take over (source: arbitration). They change
//! no decision that was made; they bind from their day on, once somebody else has put the version in force.

use chassis::{Error, Result, clock::to_proto, page, proto::case_routing::v1 as pb};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::desk::Desk;
use crate::{
    atlas::{World, org_kind},
    domain::ListPart,
    listing::ListEntry,
    seed,
    store::precedents::{self, PrecedentRow},
};

/// A page of them, newest first.
pub async fn list(desk: &Desk, request: &pb::ListPrecedentsRequest) -> Result<pb::ListPrecedentsResponse> {
    let size = page::size(request.page_size, 50, 200)?;
    let below: Uuid = page::decode(&request.page_token)?.unwrap_or(Uuid::max());
    let mut conn = desk.db.conn().await?;
    let mut rows = precedents::below(&mut conn, below, size + 1).await?;
    let next_page_token = page::cut(&mut rows, size, |row| row.precedent_id);
    Ok(pb::ListPrecedentsResponse { precedents: rows.iter().map(told).collect(), next_page_token })
}

fn told(row: &PrecedentRow) -> pb::Precedent {
    pb::Precedent {
        precedent_id: row.precedent_id.to_string(),
        case_id: row.case_id.to_string(),
        item_code: row.item_code.clone(),
        lead_org_id: row.lead_org_id.to_string(),
        relieved_org_id: row.relieved_org_id.map(|org| org.to_string()).unwrap_or_default(),
        basis_code: row.basis_code.clone(),
        final_time: Some(to_proto(row.final_at)),
        effective_on: row.effective_on.to_string(),
        list_version: row.list_version.unwrap_or_default(),
    }
}

/// The entries that precedents make: the ruled organisation leads, the relieved one does not.
pub async fn entries(conn: &mut AsyncPgConnection, ids: &[Uuid], world: &World) -> Result<Vec<ListEntry>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let known = precedents::by_ids(conn, ids).await?;
    let mut all = Vec::with_capacity(2 * ids.len());
    for (number, id) in ids.iter().enumerate() {
        let field = || format!("precedent_ids[{number}]");
        let row = known.iter().find(|row| row.precedent_id == *id);
        let row = row.ok_or_else(|| Error::invalid(field(), "is no precedent"))?;
        let mut entry = |suffix: &str, org: Uuid, part: ListPart| {
            let org = world.topology.org(org).filter(|org| org_kind(org.kind).is_some());
            let org = org.ok_or_else(|| Error::invalid(field(), "names an organisation that is gone"))?;
            let community = org_kind(org.kind).is_some_and(|kind| kind.is_community_level());
            let part = if community && part == ListPart::Lead { ListPart::StatutoryDuty } else { part };
            all.push(ListEntry {
                entry: seed::Entry {
                    rule_id: format!("P-{}-{suffix}", id.simple()),
                    item_code: row.item_code.clone(),
                    part,
                    org_kind: None,
                    line: None,
                    org: Some(org.code.clone()),
                    condition: None,
                    basis_doc: format!("arbitration {id} ({})", row.basis_code),
                    mandatory: false,
                    authority_granted: false,
                    transfer_ref: None,
                    precedent_id: Some(*id),
                    fund_line: None,
                },
                from: row.effective_on,
                to: None,
            });
            Ok::<(), Error>(())
        };
        entry("L", row.lead_org_id, ListPart::Lead)?;
        if let Some(relieved) = row.relieved_org_id {
            entry("N", relieved, ListPart::Negative)?;
        }
    }
    Ok(all)
}
