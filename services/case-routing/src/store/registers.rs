//! The registers of grids and components: versions from a day on.

use std::collections::HashMap;

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Double, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

/// Key of the advisory lock under which lists are imported (`register` in ASCII).
const LOCK: i64 = 0x7265_6769_7374_6572;

/// Waits for another import, which may be long, until the end of the transaction.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute(&format!("SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    Ok(())
}

/// A version of a grid.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Grid {
    #[diesel(sql_type = Text)]
    pub grid_code: String,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Date)]
    pub valid_from: NaiveDate,
    #[diesel(sql_type = Nullable<Date>)]
    pub valid_to: Option<NaiveDate>,
}

/// The columns of [`Grid`].
macro_rules! grid {
    () => {
        "grid_code, unit_id, name, valid_from, valid_to"
    };
}

/// A version of a component.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Component {
    #[diesel(sql_type = Text)]
    pub component_code: String,
    #[diesel(sql_type = Text)]
    pub class_code: String,
    #[diesel(sql_type = Text)]
    pub subclass_code: String,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub grid_code: String,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    #[diesel(sql_type = Nullable<Double>)]
    pub longitude: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub latitude: Option<f64>,
    #[diesel(sql_type = SqlUuid)]
    pub owner_org_id: Uuid,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Date)]
    pub valid_from: NaiveDate,
    #[diesel(sql_type = Nullable<Date>)]
    pub valid_to: Option<NaiveDate>,
}

/// The columns of [`Component`].
macro_rules! component {
    () => {
        "component_code, class_code, subclass_code, name, grid_code, unit_id, longitude, latitude, owner_org_id, \
         state, valid_from, valid_to"
    };
}

/// The latest version of each of these grids.
pub async fn latest_grids(conn: &mut AsyncPgConnection, codes: &[&str]) -> Result<HashMap<String, Grid>> {
    let rows: Vec<Grid> = cached(concat!(
        "SELECT DISTINCT ON (grid_code) ",
        grid!(),
        " FROM grids WHERE grid_code = ANY($1) ORDER BY grid_code, valid_from DESC"
    ))
    .bind::<Array<Text>, _>(codes)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|grid| (grid.grid_code.clone(), grid)).collect())
}

/// A grid as it is on a day.
pub async fn grid_on(conn: &mut AsyncPgConnection, code: &str, day: NaiveDate) -> Result<Option<Grid>> {
    let rows: Vec<Grid> = cached(concat!(
        "SELECT ",
        grid!(),
        " FROM grids WHERE grid_code = $1 AND valid_from <= $2 AND (valid_to IS NULL OR valid_to > $2)"
    ))
    .bind::<Text, _>(code)
    .bind::<Date, _>(day)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next())
}

/// Ends the versions before (`code`, `from`) on that day. Only those that go on past it.
async fn end_before(
    conn: &mut AsyncPgConnection,
    statement: &'static str,
    (codes, days): (Vec<&str>, Vec<NaiveDate>),
) -> Result<()> {
    cached(statement).bind::<Array<Text>, _>(codes).bind::<Array<Date>, _>(days).execute(conn).await?;
    Ok(())
}

/// Writes versions: new ones, and those of the same day corrected. What was in force before ends with the new one.
pub async fn save_grids(conn: &mut AsyncPgConnection, grids: &[Grid]) -> Result<()> {
    let codes: Vec<&str> = grids.iter().map(|grid| grid.grid_code.as_str()).collect();
    let days: Vec<NaiveDate> = grids.iter().map(|grid| grid.valid_from).collect();
    let ends = "UPDATE grids g SET valid_to = t.day FROM unnest($1, $2) AS t (code, day) WHERE g.grid_code = t.code \
                AND g.valid_from < t.day AND (g.valid_to IS NULL OR g.valid_to > t.day)";
    end_before(conn, ends, (codes.clone(), days.clone())).await?;
    cached(
        "INSERT INTO grids (grid_code, valid_from, unit_id, name, valid_to) SELECT unnest($1), unnest($2), \
         unnest($3), unnest($4), unnest($5) \
         ON CONFLICT (grid_code, valid_from) DO UPDATE SET unit_id = excluded.unit_id, name = excluded.name, \
         valid_to = excluded.valid_to",
    )
    .bind::<Array<Text>, _>(codes)
    .bind::<Array<Date>, _>(days)
    .bind::<Array<SqlUuid>, _>(grids.iter().map(|grid| grid.unit_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(grids.iter().map(|grid| grid.name.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Date>>, _>(grids.iter().map(|grid| grid.valid_to).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Grids in force on a day at these units, by code, after one.
pub async fn list_grids(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    day: NaiveDate,
    after: &str,
    limit: i64,
) -> Result<Vec<Grid>> {
    Ok(cached(concat!(
        "SELECT ",
        grid!(),
        " FROM grids WHERE unit_id = ANY($1) AND valid_from <= $2 AND (valid_to IS NULL OR valid_to > $2) \
         AND grid_code > $3 ORDER BY grid_code LIMIT $4"
    ))
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Date, _>(day)
    .bind::<Text, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// The latest version of each of these components.
pub async fn latest_components(
    conn: &mut AsyncPgConnection,
    codes: &[&str],
) -> Result<HashMap<String, Component>> {
    let rows: Vec<Component> = cached(concat!(
        "SELECT DISTINCT ON (component_code) ",
        component!(),
        " FROM components WHERE component_code = ANY($1) ORDER BY component_code, valid_from DESC"
    ))
    .bind::<Array<Text>, _>(codes)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|component| (component.component_code.clone(), component)).collect())
}

/// A component as it is on a day.
pub async fn component_on(
    conn: &mut AsyncPgConnection,
    code: &str,
    day: NaiveDate,
) -> Result<Option<Component>> {
    let rows: Vec<Component> = cached(concat!(
        "SELECT ",
        component!(),
        " FROM components WHERE component_code = $1 AND valid_from <= $2 \
         AND (valid_to IS NULL OR valid_to > $2)"
    ))
    .bind::<Text, _>(code)
    .bind::<Date, _>(day)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next())
}

/// Writes versions, as [`save_grids`] does.
pub async fn save_components(conn: &mut AsyncPgConnection, components: &[Component]) -> Result<()> {
    let codes: Vec<&str> = components.iter().map(|one| one.component_code.as_str()).collect();
    let days: Vec<NaiveDate> = components.iter().map(|one| one.valid_from).collect();
    let ends = "UPDATE components c SET valid_to = t.day FROM unnest($1, $2) AS t (code, day) \
                WHERE c.component_code = t.code AND c.valid_from < t.day AND (c.valid_to IS NULL OR c.valid_to > t.day)";
    end_before(conn, ends, (codes.clone(), days.clone())).await?;
    fn each<'a, T>(components: &'a [Component], of: impl Fn(&'a Component) -> T) -> Vec<T> {
        components.iter().map(of).collect()
    }
    cached(
        "INSERT INTO components (component_code, valid_from, class_code, subclass_code, name, grid_code, unit_id, \
         longitude, latitude, owner_org_id, state) SELECT unnest($1), unnest($2), unnest($3), unnest($4), \
         unnest($5), unnest($6), unnest($7), unnest($8), unnest($9), unnest($10), unnest($11) \
         ON CONFLICT (component_code, valid_from) DO UPDATE SET class_code = excluded.class_code, \
         subclass_code = excluded.subclass_code, name = excluded.name, grid_code = excluded.grid_code, \
         unit_id = excluded.unit_id, longitude = excluded.longitude, latitude = excluded.latitude, \
         owner_org_id = excluded.owner_org_id, state = excluded.state",
    )
    .bind::<Array<Text>, _>(codes)
    .bind::<Array<Date>, _>(days)
    .bind::<Array<Text>, _>(each(components, |one| one.class_code.as_str()))
    .bind::<Array<Text>, _>(each(components, |one| one.subclass_code.as_str()))
    .bind::<Array<Text>, _>(each(components, |one| one.name.as_str()))
    .bind::<Array<Text>, _>(each(components, |one| one.grid_code.as_str()))
    .bind::<Array<SqlUuid>, _>(each(components, |one| one.unit_id))
    .bind::<Array<Nullable<Double>>, _>(each(components, |one| one.longitude))
    .bind::<Array<Nullable<Double>>, _>(each(components, |one| one.latitude))
    .bind::<Array<SqlUuid>, _>(each(components, |one| one.owner_org_id))
    .bind::<Array<Text>, _>(each(components, |one| one.state.as_str()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Which components are listed.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub units: &'a [Uuid],
    pub grid: Option<&'a str>,
    pub class: Option<&'a str>,
    pub subclass: Option<&'a str>,
    pub day: NaiveDate,
    pub after: &'a str,
    pub limit: i64,
}

/// Components as they are on a day, by code.
pub async fn list_components(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<Vec<Component>> {
    Ok(cached(concat!(
        "SELECT ",
        component!(),
        " FROM components WHERE unit_id = ANY($1) AND ($2 IS NULL OR grid_code = $2) \
         AND ($3 IS NULL OR class_code = $3) AND ($4 IS NULL OR subclass_code = $4) \
         AND valid_from <= $5 AND (valid_to IS NULL OR valid_to > $5) AND component_code > $6 \
         ORDER BY component_code LIMIT $7"
    ))
    .bind::<Array<SqlUuid>, _>(wanted.units)
    .bind::<Nullable<Text>, _>(wanted.grid)
    .bind::<Nullable<Text>, _>(wanted.class)
    .bind::<Nullable<Text>, _>(wanted.subclass)
    .bind::<Date, _>(wanted.day)
    .bind::<Text, _>(wanted.after)
    .bind::<BigInt, _>(wanted.limit)
    .load(conn)
    .await?)
}
