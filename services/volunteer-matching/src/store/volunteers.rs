//! Volunteers, with the load and the hours that the ranking needs.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::known;
use crate::domain::{Volunteer, VolunteerId, VolunteerState};

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    volunteer_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    volunteer_ref: String,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    home_unit_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    skill_codes: Option<Vec<String>>,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    locked_minutes: i64,
    #[diesel(sql_type = BigInt)]
    open_offers: i64,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT v.volunteer_id, v.person_id, v.volunteer_ref, v.org_id, v.home_unit_id, v.skill_codes, ",
            "v.state, coalesce(m.minutes, 0) AS locked_minutes, ",
            "(SELECT count(*) FROM offers o WHERE o.volunteer_id = v.volunteer_id ",
            "AND o.state IN ('accepted', 'confirmed')) AS open_offers ",
            "FROM volunteers v LEFT JOIN volunteer_minutes m ON m.volunteer_id = v.volunteer_id ",
            $rest
        )
    };
}

impl Row {
    fn into_volunteer(self) -> Result<Volunteer> {
        Ok(Volunteer {
            id: VolunteerId(self.volunteer_id),
            person_id: self.person_id,
            volunteer_ref: self.volunteer_ref,
            org_id: self.org_id,
            home_unit_id: self.home_unit_id,
            skill_codes: self.skill_codes,
            state: known(VolunteerState::parse(&self.state), "volunteers.state")?,
            locked_minutes: self.locked_minutes,
            open_offers: self.open_offers,
        })
    }
}

/// Active volunteers of organisations, for ranking.
pub async fn active_of(conn: &mut AsyncPgConnection, orgs: &[Uuid]) -> Result<Vec<Volunteer>> {
    let rows = cached(select!("WHERE v.org_id = ANY($1) AND v.state = 'active'"))
        .bind::<Array<SqlUuid>, _>(orgs)
        .load::<Row>(conn)
        .await?;
    rows.into_iter().map(Row::into_volunteer).collect()
}

/// One volunteer.
pub async fn get(conn: &mut AsyncPgConnection, id: VolunteerId) -> Result<Option<Volunteer>> {
    let rows =
        cached(select!("WHERE v.volunteer_id = $1")).bind::<SqlUuid, _>(id.0).load::<Row>(conn).await?;
    rows.into_iter().next().map(Row::into_volunteer).transpose()
}

/// Several volunteers, in no order.
pub async fn by_ids(conn: &mut AsyncPgConnection, ids: &[VolunteerId]) -> Result<Vec<Volunteer>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = cached(select!("WHERE v.volunteer_id = ANY($1)"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load::<Row>(conn)
        .await?;
    rows.into_iter().map(Row::into_volunteer).collect()
}

/// Which volunteers a list shows.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Organisations the caller manages.
    pub orgs: Vec<Uuid>,
    /// The caller, whose own rows are always shown.
    pub person: Uuid,
    /// Only this organisation.
    pub org_id: Option<Uuid>,
    /// Only volunteers after this one.
    pub after: Option<Uuid>,
    /// How many.
    pub limit: i64,
}

/// Volunteers within reach, by id.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter) -> Result<Vec<Volunteer>> {
    let rows = cached(select!(
        "WHERE (v.org_id = ANY($1) OR v.person_id = $2) AND ($3 IS NULL OR v.org_id = $3) \
         AND ($4 IS NULL OR v.volunteer_id > $4) ORDER BY v.volunteer_id LIMIT $5"
    ))
    .bind::<Array<SqlUuid>, _>(&filter.orgs)
    .bind::<SqlUuid, _>(filter.person)
    .bind::<Nullable<SqlUuid>, _>(filter.org_id)
    .bind::<Nullable<SqlUuid>, _>(filter.after)
    .bind::<BigInt, _>(filter.limit)
    .load::<Row>(conn)
    .await?;
    rows.into_iter().map(Row::into_volunteer).collect()
}

/// Adds a volunteer.
///
/// # Errors
/// `AlreadyExists` when the person already helps with the organisation.
pub async fn insert(conn: &mut AsyncPgConnection, volunteer: &Volunteer, now: Timestamp) -> Result<()> {
    let inserted = cached(
        "INSERT INTO volunteers (volunteer_id, person_id, volunteer_ref, org_id, home_unit_id, skill_codes, state, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<SqlUuid, _>(volunteer.id.0)
    .bind::<SqlUuid, _>(volunteer.person_id)
    .bind::<Text, _>(&volunteer.volunteer_ref)
    .bind::<SqlUuid, _>(volunteer.org_id)
    .bind::<Nullable<SqlUuid>, _>(volunteer.home_unit_id)
    .bind::<Nullable<Array<Text>>, _>(&volunteer.skill_codes)
    .bind::<Text, _>(volunteer.state.as_str())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await;
    match inserted {
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Err(Error::AlreadyExists { kind: "volunteer", id: volunteer.person_id.to_string() })
        }
        other => other.map(drop).map_err(Into::into),
    }
}

/// Adds or brings back a volunteer learnt from a grant; a second time, or after its end, it changes nothing. A home learnt from
/// the grant before follows to the new one's unit (units merge); one that the organisation named stays.
pub async fn learn(
    conn: &mut AsyncPgConnection,
    volunteer: &Volunteer,
    grant_id: Uuid,
    now: Timestamp,
) -> Result<()> {
    let new = cached(
        "INSERT INTO volunteer_grants (grant_id, org_id, person_id, home_unit_id, ended) VALUES ($1, $2, $3, $4, false) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(grant_id)
    .bind::<SqlUuid, _>(volunteer.org_id)
    .bind::<SqlUuid, _>(volunteer.person_id)
    .bind::<Nullable<SqlUuid>, _>(volunteer.home_unit_id)
    .execute(conn)
    .await?;
    if new == 0 {
        return Ok(());
    }
    // Who has left stands on none: replicas from before the table let somebody leave without writing it.
    cached(
        "UPDATE volunteer_grants g SET ended = true FROM volunteers v \
         WHERE v.org_id = $2 AND v.person_id = $3 AND v.state = 'left' \
         AND g.org_id = v.org_id AND g.person_id = v.person_id AND NOT g.ended AND g.grant_id <> $1",
    )
    .bind::<SqlUuid, _>(grant_id)
    .bind::<SqlUuid, _>(volunteer.org_id)
    .bind::<SqlUuid, _>(volunteer.person_id)
    .execute(conn)
    .await?;
    cached(
        "INSERT INTO volunteers (volunteer_id, person_id, volunteer_ref, org_id, home_unit_id, skill_codes, state, \
         grant_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8) \
         ON CONFLICT (org_id, person_id) DO UPDATE SET grant_id = excluded.grant_id, \
         home_unit_id = CASE WHEN volunteers.grant_id IS NULL THEN volunteers.home_unit_id \
         ELSE coalesce(excluded.home_unit_id, volunteers.home_unit_id) END, \
         state = CASE volunteers.state WHEN 'left' THEN 'active' ELSE volunteers.state END, \
         version = volunteers.version + 1 \
         WHERE volunteers.grant_id IS DISTINCT FROM excluded.grant_id",
    )
    .bind::<SqlUuid, _>(volunteer.id.0)
    .bind::<SqlUuid, _>(volunteer.person_id)
    .bind::<Text, _>(&volunteer.volunteer_ref)
    .bind::<SqlUuid, _>(volunteer.org_id)
    .bind::<Nullable<SqlUuid>, _>(volunteer.home_unit_id)
    .bind::<Nullable<Array<Text>>, _>(&volunteer.skill_codes)
    .bind::<SqlUuid, _>(grant_id)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// A volunteer begins or ends a break. Gives whether they still are one.
pub async fn set_state(conn: &mut AsyncPgConnection, id: VolunteerId, state: VolunteerState) -> Result<bool> {
    let set = cached(
        "UPDATE volunteers SET state = $2, version = version + (state <> $2)::int \
         WHERE volunteer_id = $1 AND state IN ('active', 'paused')",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Text, _>(state.as_str())
    .execute(conn)
    .await?;
    Ok(set > 0)
}

/// A grant that made someone a volunteer has ended: they stand on the latest of the others that are in force, and leave where there is
/// none.
pub async fn leave(conn: &mut AsyncPgConnection, grant_id: Uuid) -> Result<()> {
    cached(
        "INSERT INTO volunteer_grants (grant_id, ended) VALUES ($1, true) \
         ON CONFLICT (grant_id) DO UPDATE SET ended = true WHERE NOT volunteer_grants.ended",
    )
    .bind::<SqlUuid, _>(grant_id)
    .execute(conn)
    .await?;
    cached(
        "UPDATE volunteers v SET grant_id = coalesce(g.grant_id, v.grant_id), \
         home_unit_id = coalesce(g.home_unit_id, v.home_unit_id), \
         state = CASE WHEN g.grant_id IS NULL THEN 'left' ELSE v.state END, version = v.version + 1 \
         FROM (SELECT s.volunteer_id, o.grant_id, o.home_unit_id FROM volunteers s LEFT JOIN LATERAL \
               (SELECT f.grant_id, f.home_unit_id FROM volunteer_grants f WHERE f.person_id = s.person_id \
                AND f.org_id = s.org_id AND NOT f.ended ORDER BY f.grant_id DESC LIMIT 1) AS o ON true \
               WHERE s.grant_id = $1) AS g \
         WHERE v.volunteer_id = g.volunteer_id AND v.state <> 'left'",
    )
    .bind::<SqlUuid, _>(grant_id)
    .execute(conn)
    .await?;
    Ok(())
}
