//! Cases that may be of the same matter as another: recent ones of the neighbourhood that share words with it, those of its
//! item close by, and those near its point, whatever borders lie between.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{list::ReachFilter, reached::reached};
use crate::{
    domain::{CaseId, Matter, PersonRef, Point, UnitId},
    reach::requester_ref,
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Array<Integer>)]
    pairs: Vec<i32>,
    #[diesel(sql_type = Array<SqlUuid>)]
    place_path: Vec<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    registered_at: Timestamp,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    requester_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    item_code: Option<String>,
}

/// In which part of the city cases are looked for.
#[derive(Debug, Clone, Copy)]
pub enum Area {
    Street(Uuid),
    /// All of a unit above the streets, for a case that lies in none of them.
    Within(Uuid),
    /// What lies in such a unit and in no street.
    Unplaced(Uuid),
}

impl Area {
    /// The unit of the area.
    pub const fn unit(self) -> Uuid {
        match self {
            Self::Street(unit) | Self::Within(unit) | Self::Unplaced(unit) => unit,
        }
    }
}

macro_rules! around {
    ($area:literal) => {
        concat!(
            "SELECT c.case_id, w.pairs, c.place_path, c.registered_at, c.requester_id, c.item_code \
             FROM cases c JOIN case_words w ON w.case_id = c.case_id WHERE ",
            $area,
            " AND c.case_id <> $2 AND c.case_id >= $11 AND c.registered_at >= $3 \
             AND c.state <> 'merged' AND w.pairs && $4 AND ",
            reached!("$6", "$7", "$8", "$9", "$10"),
            " ORDER BY c.case_id DESC LIMIT $5"
        )
    };
}

macro_rules! of_item {
    ($area:literal) => {
        concat!(
            "SELECT c.case_id, COALESCE(w.pairs, '{}'::integer[]) AS pairs, c.place_path, c.registered_at, \
             c.requester_id, c.item_code FROM (\
             (SELECT case_id, place_path, place_unit_id, street_id, registered_at, requester_id, item_code, state, line, \
             first_receiver_org_id FROM cases WHERE item_code = $1 AND case_id < $2 ORDER BY case_id DESC LIMIT $3) \
             UNION ALL \
             (SELECT case_id, place_path, place_unit_id, street_id, registered_at, requester_id, item_code, state, line, \
             first_receiver_org_id FROM cases WHERE item_code = $1 AND case_id > $2 ORDER BY case_id LIMIT $3)\
             ) AS c LEFT JOIN case_words w ON w.case_id = c.case_id WHERE ",
            $area,
            " AND (c.place_path && $5 OR c.place_unit_id = ANY ($6)) \
             AND c.registered_at >= $7 AND c.state <> 'merged' AND ",
            reached!("$8", "$9", "$10", "$11", "$12")
        )
    };
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    /// The case itself, which is not among them.
    pub case: CaseId,
    pub area: Area,
    /// Its words, and those for the same.
    pub pairs: &'a [i32],
    pub since: Timestamp,
    /// The first id that a case registered since then can have ([`super::list::ids_within`]): the indexes are read from there.
    pub first: Uuid,
    pub limit: i64,
}

/// The newest cases of an area that the caller reaches, that share words with one and are not merged already.
pub async fn around(
    conn: &mut AsyncPgConnection,
    around: &Around<'_>,
    reach: &ReachFilter,
) -> Result<Vec<(CaseId, Matter)>> {
    let text = match around.area {
        Area::Street(_) => around!("c.street_id = $1"),
        Area::Within(_) => around!("$1 = ANY (c.place_path)"),
        Area::Unplaced(_) => around!("c.street_id IS NULL AND $1 = ANY (c.place_path)"),
    };
    let rows: Vec<Row> = cached(text)
        .bind::<SqlUuid, _>(around.area.unit())
        .bind::<SqlUuid, _>(around.case.0)
        .bind::<Timestamptz, _>(around.since)
        .bind::<Array<Integer>, _>(around.pairs)
        .bind::<BigInt, _>(around.limit)
        .bind::<Bool, _>(reach.all)
        .bind::<Nullable<SqlUuid>, _>(reach.requester)
        .bind::<Array<SqlUuid>, _>(&reach.units)
        .bind::<Array<Nullable<Text>>, _>(&reach.lines)
        .bind::<Array<SqlUuid>, _>(&reach.orgs)
        .bind::<SqlUuid, _>(around.first)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Row::matter).collect())
}

/// Where to look for cases of an item.
#[derive(Debug, Clone)]
pub struct OfItem<'a> {
    /// The case itself, which is not among them.
    pub case: CaseId,
    pub area: Area,
    /// The unit of the area, and those that are one with it by mergers.
    pub units: &'a [Uuid],
    pub item: &'a str,
    /// Below one of these units,
    pub near: &'a [Uuid],
    /// or at one of these, the units on the way to the case.
    pub path: &'a [Uuid],
    pub since: Timestamp,
    /// Cases of the item that are looked at before the case, and as many after it.
    pub limit: i64,
}

/// Cases of an item close by, of those that came in next before and after one, whatever their words. Ids are made in the
/// order of registration, so both ends are read from the index of the item and no further than the limit.
pub async fn of_item(
    conn: &mut AsyncPgConnection,
    of: &OfItem<'_>,
    reach: &ReachFilter,
) -> Result<Vec<(CaseId, Matter)>> {
    let text = match of.area {
        // What lies in no street may be there as well; `near` and `path` say how far.
        Area::Street(_) => of_item!("(c.street_id = ANY ($4) OR c.street_id IS NULL)"),
        Area::Within(_) => of_item!("c.place_path && $4"),
        Area::Unplaced(_) => of_item!("c.street_id IS NULL AND c.place_path && $4"),
    };
    let rows: Vec<Row> = cached(text)
        .bind::<Text, _>(of.item)
        .bind::<SqlUuid, _>(of.case.0)
        .bind::<BigInt, _>(of.limit)
        .bind::<Array<SqlUuid>, _>(of.units)
        .bind::<Array<SqlUuid>, _>(of.near)
        .bind::<Array<SqlUuid>, _>(of.path)
        .bind::<Timestamptz, _>(of.since)
        .bind::<Bool, _>(reach.all)
        .bind::<Nullable<SqlUuid>, _>(reach.requester)
        .bind::<Array<SqlUuid>, _>(&reach.units)
        .bind::<Array<Nullable<Text>>, _>(&reach.lines)
        .bind::<Array<SqlUuid>, _>(&reach.orgs)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Row::matter).collect())
}

/// From a few cells of [`super::points`], of each the newest cases that count: of a cell, however full, no more than its newest
/// two thousand are looked at. What lies across the date line is as near as it is.
const NEAR: &str = concat!(
    "SELECT n.case_id, COALESCE(w.pairs, '{}'::integer[]) AS pairs, n.place_path, n.registered_at, \
     n.requester_id, n.item_code FROM unnest($1) AS k (cell) CROSS JOIN LATERAL (\
     SELECT c.case_id, c.place_path, c.registered_at, c.requester_id, c.item_code FROM (\
     SELECT case_id, lon_e6, lat_e6 FROM case_points WHERE cell = k.cell AND case_id >= $2 AND case_id <> $3 \
     ORDER BY case_id DESC LIMIT 2000\
     ) AS p JOIN cases c ON c.case_id = p.case_id \
     WHERE LEAST(abs(p.lon_e6 - $4), 360000000 - abs(p.lon_e6 - $4)) <= $5 AND abs(p.lat_e6 - $6) <= $7 \
     AND c.registered_at >= $9 AND c.state <> 'merged' AND ",
    reached!("$10", "$11", "$12", "$13", "$14"),
    " ORDER BY c.case_id DESC LIMIT $8\
     ) AS n LEFT JOIN case_words w ON w.case_id = n.case_id ORDER BY n.case_id DESC LIMIT $8"
);

/// Near which point to look.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    /// The case itself, which is not among them.
    pub case: CaseId,
    pub point: Point,
    pub since: Timestamp,
    /// As in [`Around`].
    pub first: Uuid,
    /// Cases at most.
    pub limit: i64,
}

/// The newest cases near a point that the caller reaches, whatever their words, and that are not merged already.
pub async fn near(
    conn: &mut AsyncPgConnection,
    near: &Near,
    reach: &ReachFilter,
) -> Result<Vec<(CaseId, Matter)>> {
    let (east, north) = near.point.nearby_e6();
    let rows: Vec<Row> = cached(NEAR)
        .bind::<Array<BigInt>, _>(near.point.cells_around())
        .bind::<SqlUuid, _>(near.first)
        .bind::<SqlUuid, _>(near.case.0)
        .bind::<Integer, _>(near.point.longitude_e6())
        .bind::<Integer, _>(east)
        .bind::<Integer, _>(near.point.latitude_e6())
        .bind::<Integer, _>(north)
        .bind::<BigInt, _>(near.limit)
        .bind::<Timestamptz, _>(near.since)
        .bind::<Bool, _>(reach.all)
        .bind::<Nullable<SqlUuid>, _>(reach.requester)
        .bind::<Array<SqlUuid>, _>(&reach.units)
        .bind::<Array<Nullable<Text>>, _>(&reach.lines)
        .bind::<Array<SqlUuid>, _>(&reach.orgs)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Row::matter).collect())
}

impl Row {
    /// Without its point: of all that are compared they are read at once ([`super::points::of`]).
    fn matter(self) -> (CaseId, Matter) {
        let matter = Matter {
            pairs: self.pairs,
            path: self.place_path.into_iter().map(UnitId).collect(),
            point: None,
            at: self.registered_at,
            requester: self.requester_id.map(|person| PersonRef(requester_ref(person))),
            item_code: self.item_code,
            suggested_item: None,
        };
        (CaseId(self.case_id), matter)
    }
}
