//! Offers with their live record.

use std::collections::HashMap;

use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change},
    db::cached,
};
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::known;
use crate::domain::{
    OfferId, RecordId, VolunteerId,
    offer::{Offer, OfferState, Record, RecordState},
    ranking::Candidate,
};

/// Loads and saves offers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfferStore;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    offer_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    place_unit_id: Option<Uuid>,
    #[diesel(sql_type = Array<Text>)]
    skill_codes: Vec<String>,
    #[diesel(sql_type = Timestamptz)]
    due_at: Timestamp,
    #[diesel(sql_type = Jsonb)]
    candidates: serde_json::Value,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    volunteer_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    volunteer_person: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    volunteer_ref: Option<String>,
    #[diesel(sql_type = Array<SqlUuid>)]
    stepped_back: Vec<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    closed_at: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    updated_at: Timestamp,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    record_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    minutes: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    record_state: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<Timestamp>,
}

/// An offer that is locked.
#[derive(diesel::QueryableByName)]
struct Held {
    #[diesel(sql_type = SqlUuid)]
    offer_id: Uuid,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($($rest:literal),+) => {
        concat!(
            "SELECT o.offer_id, o.case_id, o.org_id, o.mode, o.state, o.item_code, o.place_unit_id, ",
            "o.skill_codes, o.due_at, o.candidates, o.volunteer_id, o.closed_at, o.version, o.created_at, ",
            "o.updated_at, v.person_id AS volunteer_person, v.volunteer_ref, r.record_id, r.minutes, ",
            "r.state AS record_state, r.started_at, r.ended_at, ",
            "ARRAY(SELECT s.volunteer_id FROM step_backs s WHERE s.offer_id = o.offer_id) AS stepped_back ",
            "FROM offers o LEFT JOIN volunteers v ON v.volunteer_id = o.volunteer_id ",
            "LEFT JOIN service_records r ON r.offer_id = o.offer_id AND r.state <> 'voided' ",
            $($rest),+
        )
    };
}

impl Row {
    fn into_offer(self) -> Result<Offer> {
        let record = match (self.record_id, self.minutes, self.record_state, self.started_at, self.ended_at) {
            (Some(id), Some(minutes), Some(state), Some(started_at), Some(ended_at)) => Some(Record {
                id: RecordId(id),
                minutes,
                state: known(RecordState::parse(&state), "service_records.state")?,
                started_at,
                ended_at,
            }),
            _ => None,
        };
        Ok(Offer {
            id: OfferId(self.offer_id),
            case_id: self.case_id,
            org_id: self.org_id,
            mode: self.mode,
            state: known(OfferState::parse(&self.state), "offers.state")?,
            item_code: self.item_code,
            place_unit_id: self.place_unit_id,
            skill_codes: self.skill_codes,
            due_at: self.due_at,
            candidates: serde_json::from_value(self.candidates).map_err(Error::internal)?,
            volunteer_id: self.volunteer_id.map(VolunteerId),
            volunteer_person: self.volunteer_person,
            volunteer_ref: self.volunteer_ref.unwrap_or_default(),
            stepped_back: self.stepped_back.into_iter().map(VolunteerId).collect(),
            record,
            closed_at: self.closed_at,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl AggregateStore for OfferStore {
    type Id = OfferId;
    type Aggregate = Offer;
    const KIND: &'static str = "offer";

    fn id_text(id: OfferId) -> String {
        id.to_string()
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[OfferId]) -> Result<HashMap<OfferId, Offer>> {
        if ids.is_empty() {
            return Ok(HashMap::new()); // of most events that end a case, nobody had an offer
        }
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let sql = "SELECT offer_id FROM offers WHERE offer_id = ANY($1) ORDER BY offer_id FOR UPDATE";
        let held = cached(sql).bind::<Array<SqlUuid>, _>(ids).load::<Held>(&mut conn).await?;
        if held.is_empty() {
            return Ok(HashMap::new());
        }
        // Only now: a statement that has waited for a lock sees the offer as it is, but what is beside it as it was.
        let held: Vec<_> = held.into_iter().map(|held| held.offer_id).collect();
        let rows = cached(select!("WHERE o.offer_id = ANY($1)"))
            .bind::<Array<SqlUuid>, _>(held)
            .load::<Row>(&mut conn)
            .await?;
        rows.into_iter().map(|row| row.into_offer().map(|offer| (offer.id, offer))).collect()
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<Offer>>) -> Result<()> {
        let changed = changes.iter().filter(|change| change.before.as_ref() != Some(&change.after));
        let changed: Vec<_> = changed.map(|change| &change.after).collect();
        if changed.is_empty() { Ok(()) } else { write(conn, &changed).await }
    }

    fn within_reach(&self, offer: &Offer, caller: &Caller) -> bool {
        reaches(caller, offer)
    }
}

/// Managers reach their organisations' offers, volunteers their own.
pub fn reaches(caller: &Caller, offer: &Offer) -> bool {
    managed(caller).contains(&offer.org_id) || offer.volunteer_person == Some(caller.person_id)
}

/// Organisations whose offers the caller manages.
pub fn managed(caller: &Caller) -> Vec<Uuid> {
    use chassis::proto::auth::v1::Role;
    let manages = |role| matches!(role, Role::OrgManager | Role::VolunteerCoordinator);
    caller.scopes.iter().filter(|scope| manages(scope.role)).filter_map(|scope| scope.org_id).collect()
}

/// A row as `jsonb_to_recordset` reads it: one statement for any number of offers.
#[derive(serde::Serialize)]
struct OfferRow<'a> {
    offer_id: Uuid,
    case_id: Uuid,
    org_id: Uuid,
    mode: &'a str,
    state: &'a str,
    item_code: &'a str,
    place_unit_id: Option<Uuid>,
    skill_codes: &'a [String],
    due_at: Timestamp,
    candidates: &'a [Candidate],
    volunteer_id: Option<Uuid>,
    closed_at: Option<Timestamp>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(serde::Serialize)]
struct RecordRow<'a> {
    record_id: Uuid,
    offer_id: Uuid,
    case_id: Uuid,
    volunteer_id: Option<Uuid>,
    org_id: Uuid,
    minutes: i32,
    state: &'a str,
    started_at: Timestamp,
    ended_at: Timestamp,
}

fn offer_row(offer: &Offer) -> OfferRow<'_> {
    OfferRow {
        offer_id: offer.id.0,
        case_id: offer.case_id,
        org_id: offer.org_id,
        mode: &offer.mode,
        state: offer.state.as_str(),
        item_code: &offer.item_code,
        place_unit_id: offer.place_unit_id,
        skill_codes: &offer.skill_codes,
        due_at: offer.due_at,
        candidates: &offer.candidates,
        volunteer_id: offer.volunteer_id.map(|id| id.0),
        closed_at: offer.closed_at,
        version: offer.version,
        created_at: offer.created_at,
        updated_at: offer.updated_at,
    }
}

fn record_row(offer: &Offer) -> Option<RecordRow<'_>> {
    let record = offer.record.as_ref()?;
    Some(RecordRow {
        record_id: record.id.0,
        offer_id: offer.id.0,
        case_id: offer.case_id,
        volunteer_id: offer.volunteer_id.map(|id| id.0),
        org_id: offer.org_id,
        minutes: record.minutes,
        state: record.state.as_str(),
        started_at: record.started_at,
        ended_at: record.ended_at,
    })
}

async fn write(mut conn: &AsyncPgConnection, offers: &[&Offer]) -> Result<()> {
    let rows: Vec<_> = offers.iter().map(|offer| offer_row(offer)).collect();
    cached(
        "INSERT INTO offers (offer_id, case_id, org_id, mode, state, item_code, place_unit_id, skill_codes, due_at, \
         candidates, volunteer_id, closed_at, version, created_at, updated_at) \
         SELECT * FROM jsonb_to_recordset($1) AS t (offer_id uuid, case_id uuid, org_id uuid, mode text, state text, \
         item_code text, place_unit_id uuid, skill_codes text[], due_at timestamptz, candidates jsonb, \
         volunteer_id uuid, closed_at timestamptz, version bigint, created_at timestamptz, updated_at timestamptz) \
         ON CONFLICT (offer_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at, volunteer_id = excluded.volunteer_id, \
         closed_at = excluded.closed_at, version = excluded.version, updated_at = excluded.updated_at",
    )
    .bind::<Jsonb, _>(serde_json::to_value(rows).map_err(Error::internal)?)
    .execute(&mut conn)
    .await?;
    write_records(conn, offers).await?;
    write_step_backs(conn, offers).await
}

async fn write_records(mut conn: &AsyncPgConnection, offers: &[&Offer]) -> Result<()> {
    let mut rows: Vec<_> = offers.iter().filter_map(|offer| record_row(offer)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // Locked ones are added to their volunteers' sums, everywhere in this order, so that none waits for the other.
    rows.sort_by_key(|row| row.volunteer_id);
    cached(
        "INSERT INTO service_records (record_id, offer_id, case_id, volunteer_id, org_id, minutes, state, started_at, \
         ended_at) SELECT * FROM jsonb_to_recordset($1) AS t (record_id uuid, offer_id uuid, case_id uuid, \
         volunteer_id uuid, org_id uuid, minutes integer, state text, started_at timestamptz, ended_at timestamptz) \
         ON CONFLICT (record_id) DO UPDATE SET state = excluded.state",
    )
    .bind::<Jsonb, _>(serde_json::to_value(rows).map_err(Error::internal)?)
    .execute(&mut conn)
    .await?;
    Ok(())
}

async fn write_step_backs(mut conn: &AsyncPgConnection, offers: &[&Offer]) -> Result<()> {
    let (offers, volunteers): (Vec<_>, Vec<_>) = offers
        .iter()
        .flat_map(|offer| offer.stepped_back.iter().map(move |volunteer| (offer.id.0, volunteer.0)))
        .unzip();
    if offers.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO step_backs (offer_id, volunteer_id) SELECT unnest($1), unnest($2) ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(offers)
    .bind::<Array<SqlUuid>, _>(volunteers)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// One offer, for reading; the caller checks reach.
pub async fn get(conn: &mut AsyncPgConnection, id: OfferId) -> Result<Option<Offer>> {
    let rows = cached(select!("WHERE o.offer_id = $1")).bind::<SqlUuid, _>(id.0).load::<Row>(conn).await?;
    rows.into_iter().next().map(Row::into_offer).transpose()
}

/// Which offers a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Organisations the caller manages.
    pub orgs: Vec<Uuid>,
    /// The caller, for the own offers as a volunteer.
    pub person: Uuid,
    /// Only these states; empty means all.
    pub states: Vec<OfferState>,
    /// Only this case.
    pub case_id: Option<Uuid>,
    /// Only offers before this one.
    pub before: Option<Uuid>,
    /// How many.
    pub limit: i64,
}

/// A page of the organisations' offers and of the caller's own, each found by its own index.
macro_rules! reached {
    ($states:literal) => {
        select!(
            "WHERE o.offer_id IN (SELECT found.offer_id FROM ( \
                (SELECT f.offer_id FROM unnest($1) AS g (id) CROSS JOIN LATERAL ( \
                    SELECT offer_id FROM offers WHERE org_id = g.id AND offer_id < $4 AND ",
            $states,
            " ORDER BY offer_id DESC LIMIT $5) AS f) \
                UNION \
                (SELECT f.offer_id FROM volunteers m CROSS JOIN LATERAL ( \
                    SELECT offer_id FROM offers WHERE volunteer_id = m.volunteer_id AND offer_id < $4 AND ",
            $states,
            " ORDER BY offer_id DESC LIMIT $5) AS f WHERE m.person_id = $2) \
             ) AS found WHERE $6 IS NULL ORDER BY found.offer_id DESC LIMIT $5) ORDER BY o.offer_id DESC"
        )
    };
}

/// Offers within reach, newest first. Each kind of question has its own statement, so that each has its index.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter) -> Result<Vec<Offer>> {
    const BY_CASE: &str = select!(
        "WHERE o.case_id = $6 AND (o.org_id = ANY($1) OR v.person_id = $2) \
         AND (cardinality($3) = 0 OR o.state = ANY($3)) AND o.offer_id < $4 ORDER BY o.offer_id DESC LIMIT $5"
    );
    // As the index `offers_org_open` has them.
    const OPEN: &str = reached!("state IN ('offered', 'accepted', 'confirmed') AND state = ANY($3)");
    const REACHED: &str = reached!("(cardinality($3) = 0 OR state = ANY($3))");
    let sql = if filter.case_id.is_some() {
        BY_CASE
    } else if !filter.states.is_empty() && filter.states.iter().all(|state| state.is_open()) {
        OPEN
    } else {
        REACHED
    };
    let states: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
    let rows = cached(sql)
        .bind::<Array<SqlUuid>, _>(&filter.orgs)
        .bind::<SqlUuid, _>(filter.person)
        .bind::<Array<Text>, _>(states)
        .bind::<SqlUuid, _>(filter.before.unwrap_or(Uuid::max()))
        .bind::<BigInt, _>(filter.limit)
        .bind::<Nullable<SqlUuid>, _>(filter.case_id)
        .load::<Row>(conn)
        .await?;
    rows.into_iter().map(Row::into_offer).collect()
}

#[derive(diesel::QueryableByName)]
struct DigestRow {
    #[diesel(sql_type = SqlUuid)]
    offer_id: Uuid,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// Offer id, state and number of live records, ordered by the id's text.
pub async fn digests(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(Uuid, OfferState, i64)>> {
    let rows = cached(
        "SELECT o.offer_id, o.state, (SELECT count(*) FROM service_records r WHERE r.offer_id = o.offer_id \
         AND r.state <> 'voided') AS records FROM offers o WHERE o.offer_id > $1 ORDER BY o.offer_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load::<DigestRow>(conn)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.offer_id, known(OfferState::parse(&row.state), "offers.state")?, row.records)))
        .collect()
}
