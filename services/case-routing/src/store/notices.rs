//! The public copies of notices: written when one begins, shown longer where another calendar moves its last day and elsewhere
//! where its case goes on in another unit, removed when it is over or taken down.

use chassis::{Result, Timestamp, command::Change, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::write::ids;
use crate::{
    domain::{Case, CaseId, CurrentNotice, NoticeId, Place, UnitId},
    record::CaseRecord,
};

/// Writes what began, follows what is shown longer or elsewhere and removes what ended; no statement where nothing did.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let gone: Vec<Uuid> = changes
        .iter()
        .filter_map(|change| {
            let was = shown(&change.before.as_ref()?.case)?.id;
            (shown(&change.after.case).map(|is| is.id) != Some(was)).then_some(was.0)
        })
        .collect();
    if !gone.is_empty() {
        cached("DELETE FROM public_notices WHERE notice_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(gone)
            .execute(&mut conn)
            .await?;
    }
    follow(conn, changes).await?;
    for change in changes {
        let case = &change.after.case;
        let begun = change.after.pending.notice.as_ref();
        // One that ended in the same commit was never shown.
        let is_shown = |id: NoticeId| shown(case).is_some_and(|is| is.id == id);
        let Some(notice) = begun.filter(|notice| is_shown(notice.id)) else { continue };
        cached(
            "INSERT INTO public_notices (notice_id, case_id, unit_path, item_code, name_masked, first_day, over_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind::<SqlUuid, _>(notice.id.0)
        .bind::<SqlUuid, _>(case.id.0)
        .bind::<Array<SqlUuid>, _>(public_path(&case.place))
        .bind::<Text, _>(case.item.as_ref().map_or("", |item| item.code.as_str()))
        .bind::<Text, _>(&notice.name_masked)
        .bind::<Date, _>(notice.first_day)
        .bind::<Timestamptz, _>(notice.over_at)
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

/// A notice that goes on is shown as long as its calendar says, and where its case lies now.
async fn follow(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let other = changes.iter().filter_map(|change| {
        let (before, after) = (&change.before.as_ref()?.case, &change.after.case);
        let (was, is) = (shown(before)?, shown(after)?);
        let path = public_path(&after.place);
        let differs = was.over_at != is.over_at || public_path(&before.place) != path;
        (was.id == is.id && differs).then(|| (is.id.0, is.over_at, ids(path.iter())))
    });
    let other: Vec<(Uuid, Timestamp, String)> = other.collect();
    if other.is_empty() {
        return Ok(());
    }
    cached(
        "UPDATE public_notices AS n SET over_at = t.over_at, unit_path = t.unit_path::uuid[] \
         FROM (SELECT unnest($1) AS notice_id, unnest($2) AS over_at, unnest($3) AS unit_path) AS t \
         WHERE n.notice_id = t.notice_id",
    )
    .bind::<Array<SqlUuid>, _>(other.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(other.iter().map(|(_, over_at, _)| *over_at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(other.iter().map(|(_, _, path)| path.as_str()).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

fn shown(case: &Case) -> Option<&CurrentNotice> {
    case.application.as_ref().and_then(|face| face.notice.as_ref())
}

/// Down to the community; of a place above all communities, the whole. Courtyards and doorways are for nobody to see.
fn public_path(place: &Place) -> Vec<Uuid> {
    let lowest = place.community.and_then(|unit| place.path.iter().position(|other| *other == unit));
    let path = place.path.iter().take(lowest.map_or(usize::MAX, |at| at + 1));
    path.map(|unit| unit.0).collect()
}

/// A notice as everybody may see it.
#[derive(Debug, Clone, QueryableByName)]
pub struct PublicNotice {
    #[diesel(sql_type = SqlUuid)]
    pub notice_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    pub unit_path: Vec<Uuid>,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Text)]
    pub name_masked: String,
    #[diesel(sql_type = Date)]
    pub first_day: NaiveDate,
    #[diesel(sql_type = Timestamptz)]
    pub over_at: Timestamp,
}

/// Notices of any of these units, or of all where none is given, that are shown at an instant, in the order they began, after one
/// of them.
pub async fn current(
    conn: &mut AsyncPgConnection,
    units: &[UnitId],
    now: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<PublicNotice>> {
    let rows = cached(
        "SELECT notice_id, unit_path, item_code, name_masked, first_day, over_at FROM public_notices \
         WHERE over_at > $1 AND (cardinality($2) = 0 OR unit_path && $2) AND ($3 IS NULL OR notice_id > $3) \
         ORDER BY notice_id LIMIT $4",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Array<SqlUuid>, _>(units.iter().map(|unit| unit.0).collect::<Vec<_>>())
    .bind::<Nullable<SqlUuid>, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows)
}

#[derive(QueryableByName)]
struct CaseRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The application of a notice that is shown at an instant.
pub async fn case_of(conn: &mut AsyncPgConnection, id: NoticeId, now: Timestamp) -> Result<Option<CaseId>> {
    let rows: Vec<CaseRow> =
        cached("SELECT case_id FROM public_notices WHERE notice_id = $1 AND over_at > $2")
            .bind::<SqlUuid, _>(id.0)
            .bind::<Timestamptz, _>(now)
            .load(conn)
            .await?;
    Ok(rows.into_iter().next().map(|row| CaseId(row.case_id)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(depth: usize) -> UnitId {
        UnitId(Uuid::from_u128(1 + depth as u128))
    }

    proptest! {
        /// C-9: of a place the notice shows the community and what lies above it, never a courtyard or doorway.
        #[test]
        fn a_notice_shows_no_place_below_the_community(depth in 1_usize..7) {
            // City, district, street, community, courtyard, doorway.
            let path: Vec<UnitId> = (0..depth).map(unit).collect();
            let place = Place {
                unit: unit(depth - 1),
                street: path.get(2).copied(),
                community: path.get(3).copied(),
                path,
                grid: None,
                point: None,
            };
            let shown = public_path(&place);
            prop_assert_eq!(shown.len(), depth.min(4));
            prop_assert!(shown.iter().enumerate().all(|(at, id)| *id == unit(at).0));
        }
    }
}
