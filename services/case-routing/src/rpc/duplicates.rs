//! Candidates for a merge: ranked, with reasons, for a human to decide.

use chassis::{Error, Result, auth::Caller, proto::case_routing::v1 as pb};
use chrono::TimeDelta;

use super::{convert, desk::Desk, parse};
use crate::{
    domain::{CaseId, Likeness, Matter, Weights, pairs},
    store::{
        alike::{self, Around},
        imports,
        list::ReachFilter,
        read,
    },
};

/// Cases that are compared at most, the newest.
const COMPARED: i64 = 2_000;
/// What is less alike is no candidate.
const LEAST: f64 = 0.35;

/// Cases that may be of the same matter, the most alike first, and how many cannot be compared by their words yet.
pub async fn find(
    desk: &Desk,
    caller: &Caller,
    request: &pb::FindDuplicatesRequest,
) -> Result<pb::FindDuplicatesResponse> {
    let id: CaseId = parse::id("case_id", &request.case_id)?;
    let size = match request.page_size {
        0 => 10,
        n => usize::try_from(n)
            .ok()
            .filter(|n| (1..=50).contains(n))
            .ok_or_else(|| Error::invalid("page_size", "must be between 1 and 50"))?,
    };
    let record = desk.find(caller, id).await?;
    let case = &record.case;
    let own = Matter {
        pairs: pairs(&case.text_redacted),
        path: case.place.path.clone(),
        at: case.registered_at,
        requester: case.requester.clone(),
        item_code: case.item.as_ref().map(|item| item.code.clone()),
    };
    let Some(street) = case.place.street.filter(|_| !own.pairs.is_empty()) else {
        return Ok(pb::FindDuplicatesResponse::default());
    };
    let now = desk.clock.now();
    let since = case.registered_at.min(now) - TimeDelta::days(i64::from(desk.duplicate_days));
    let around = Around { case: id, street: street.0, pairs: &own.pairs, since, limit: COMPARED };
    let mut conn = desk.db.conn().await?;
    // Before the cases, so that none is missing from both.
    let unindexed_count = imports::unindexed(&mut conn).await?;
    let others = alike::around(&mut conn, &around, &ReachFilter::of(caller)).await?;
    let texts = others.iter().map(|(_, matter)| matter.pairs.as_slice());
    let weights = Weights::of(texts.chain([own.pairs.as_slice()]));
    let mut ranked: Vec<(CaseId, Likeness)> = others
        .iter()
        .map(|(other, matter)| (*other, own.likeness(matter, &weights)))
        .filter(|(_, likeness)| likeness.score >= LEAST)
        .collect();
    // The newer one first where two are equally alike.
    ranked.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(other.0.cmp(&one.0)));
    ranked.truncate(size);
    let world = desk.atlas.world();
    let mut candidates = Vec::with_capacity(ranked.len());
    for (other, likeness) in ranked {
        // What changed hands meanwhile may be out of reach now.
        let found = read::case(&mut conn, other).await?;
        let Some(found) = found.filter(|found| crate::reach::reaches(&found.case, caller)) else { continue };
        candidates.push(pb::DuplicateCandidate {
            case: Some(convert::case(&found, &world, now)),
            score: likeness.score,
            reasons: likeness.reasons.iter().map(convert::reason).collect(),
            takes_others: !found.case.state.is_finished(),
        });
    }
    Ok(pb::FindDuplicatesResponse { candidates, unindexed_count })
}
