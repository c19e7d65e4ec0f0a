//! Candidates for a merge: ranked, with reasons, for a human to decide.

use chassis::{Error, Result, auth::Caller, proto::case_routing::v1 as pb};
use chrono::TimeDelta;
use std::collections::HashSet;
use uuid::Uuid;

use super::{convert, desk::Desk, parse};
use crate::{
    atlas::World,
    domain::{Case, CaseId, LEAST_ALIKE, Likeness, Matter, Reason, Told, UnitId, UnitKind, Weights, pairs},
    store::{
        alike::{self, Area, Around, Near, OfItem},
        imports,
        list::{ReachFilter, ids_within, with_mergers},
        points, read,
    },
    verb::opened_to,
};

/// Cases that are compared at most, the newest.
const COMPARED: i64 = 2_000;
/// Cases of the same item that are looked at on either side of a case, wherever they are.
const OF_ITEM: i64 = 500;
/// Cases near the point of a case that are compared at most, the newest.
const NEAR_BY: i64 = 500;
/// Thousandths from which the classifier's suggestion stands for the item of a case that has none.
const LIKELY: u16 = 500;

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
    let (world, now) = (desk.atlas.world(), desk.clock.now());
    let suggested = desk.models.beside(&world, now, case).filter(|known| known.permille >= LIKELY);
    let own = Matter {
        pairs: pairs(&case.text_redacted),
        path: today(&world, &case.place.path),
        point: case.place.point,
        at: case.registered_at,
        // Whom it complains of does not learn of other cases of the same person by it.
        requester: case.requester.clone().filter(|_| opened_to(case, caller).is_ok()),
        item_code: case.item.as_ref().map(|item| item.code.clone()),
        suggested_item: suggested.map(|known| known.first().to_owned()),
    };
    let (areas, near) = whereabouts(case, &world);
    let since = case.registered_at.min(now) - TimeDelta::days(i64::from(desk.duplicate_days));
    let reach = ReachFilter::of(caller);
    let mut conn = desk.db.conn().await?;
    // Before the cases, so that none is missing from both.
    let unindexed_count = imports::unindexed(&mut conn).await?;
    let first = ids_within(Some(since), None, &desk.clock).map_or(Uuid::nil(), |(first, _)| first);
    let mut others = Vec::new();
    if !own.pairs.is_empty() {
        let mut words = own.pairs.clone();
        words.extend(Told::of(&own.pairs).synonyms());
        for area in &areas {
            let around = Around { case: id, area: *area, pairs: &words, since, first, limit: COMPARED };
            add(&mut others, alike::around(&mut conn, &around, &reach).await?);
        }
    }
    if let Some(item) = own.item() {
        let area = areas[0];
        let one_with = |unit| with_mergers(&world.topology, unit);
        let path: Vec<Uuid> = case.place.path.iter().flat_map(|unit| one_with(unit.0)).collect();
        let (units, near) = (&one_with(area.unit()), &one_with(near.0));
        let of = OfItem { case: id, area, units, item, near, path: &path, since, limit: OF_ITEM };
        add(&mut others, alike::of_item(&mut conn, &of, &reach).await?);
    }
    if let Some(point) = own.point {
        let near = Near { case: id, point, since, first, limit: NEAR_BY };
        add(&mut others, alike::near(&mut conn, &near, &reach).await?);
        // Of all of them: what has the same words far away is another matter.
        let found: Vec<Uuid> = others.iter().map(|(other, _)| other.0).collect();
        let points = points::of(&mut conn, &found).await?;
        for (other, matter) in &mut others {
            matter.point = points.get(&other.0).copied();
        }
    }
    // A finished case stands where it was before a merger, which makes it no further away.
    for (_, matter) in &mut others {
        matter.path = today(&world, &matter.path);
    }
    let texts = others.iter().map(|(_, matter)| matter.pairs.as_slice());
    let weights = Weights::of(texts.chain([own.pairs.as_slice()]));
    let mut ranked: Vec<(CaseId, Matter, Likeness)> = others
        .into_iter()
        .map(|(other, matter)| {
            let likeness = own.likeness(&matter, &weights);
            (other, matter, likeness)
        })
        .filter(|(_, _, likeness)| likeness.score >= LEAST_ALIKE)
        .collect();
    // The newer one first where two are equally alike.
    ranked.sort_by(|one, other| other.2.score.total_cmp(&one.2.score).then(other.0.cmp(&one.0)));
    ranked.truncate(size);
    let mut candidates = Vec::with_capacity(ranked.len());
    for (other, matter, mut likeness) in ranked {
        // What changed hands meanwhile may be out of reach now.
        let found = read::case(&mut conn, other).await?;
        let Some(found) = found.filter(|found| crate::reach::reaches(&found.case, caller)) else { continue };
        if opened_to(&found.case, caller).is_err() {
            // The score tells, too, and that it is a candidate at all.
            likeness = own.likeness(&Matter { requester: None, ..matter }, &weights);
            if likeness.score < LEAST_ALIKE {
                continue;
            }
        }
        let barred = case.complained_of.and_then(|of| found.case.bars_complaint(of));
        let why = barred.map(Reason::new);
        candidates.push(pb::DuplicateCandidate {
            case: Some(convert::case(&found, &world, now)),
            score: likeness.score,
            reasons: likeness.reasons.iter().chain(&why).map(convert::reason).collect(),
            takes_others: barred.is_none() && !found.case.state.is_finished(),
        });
    }
    // Those that count for less now stand where they would have stood.
    candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
    Ok(pb::FindDuplicatesResponse { candidates, unindexed_count })
}

/// Adds those that are not among them yet.
fn add(others: &mut Vec<(CaseId, Matter)>, more: Vec<(CaseId, Matter)>) {
    let known: HashSet<CaseId> = others.iter().map(|(other, _)| *other).collect();
    others.extend(more.into_iter().filter(|(other, _)| !known.contains(other)));
}

/// Where to look, and how far for cases of the same item: in the street of a case, and in each that is one with it by a merger; where it
/// lies in none, in its district. What lies in no street, and may be anywhere in the district, is looked at for both.
fn whereabouts(case: &Case, world: &World) -> (Vec<Area>, UnitId) {
    let district = world.routes.on_path(&case.place.path, UnitKind::District).unwrap_or(case.place.unit);
    let unplaced = Area::Unplaced(district.0);
    if let Some(street) = case.place.street {
        let streets = with_mergers(&world.topology, street.0).into_iter().map(Area::Street);
        return (streets.chain([unplaced]).collect(), neighbourhood(case, street));
    }
    (vec![Area::Within(district.0), unplaced], district)
}

/// A path by the units in which those on it go on.
fn today(world: &World, path: &[UnitId]) -> Vec<UnitId> {
    path.iter().map(|unit| UnitId(world.topology.goes_on_at(unit.0))).collect()
}

/// The unit right above the place of a case, but not above its street.
fn neighbourhood(case: &Case, street: UnitId) -> UnitId {
    let place = &case.place;
    let above = place.path.iter().rev().nth(1).filter(|_| place.unit != street);
    above.copied().unwrap_or(place.unit)
}
