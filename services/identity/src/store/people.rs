//! People. Personal fields leave and enter this file sealed; only [`People`] holds the keys' handle. Found by blind
//! index, never by value.

use std::collections::{BTreeSet, HashMap};

use chassis::{Error, Result, Timestamp, crypto::Crypto, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::on_constraint;
use crate::domain::{
    OrgId, PersonId, UnitId,
    personal::{self, IdNumber, KIND, NewPerson, Phone},
    purpose::Field,
};

/// A person as stored, still sealed.
#[derive(QueryableByName)]
pub struct PersonRow {
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    /// Pseudonym.
    #[diesel(sql_type = Text)]
    pub pseudonym: String,
    #[diesel(sql_type = Bytea)]
    name_sealed: Vec<u8>,
    #[diesel(sql_type = Nullable<Bytea>)]
    id_no_sealed: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    phone_sealed: Option<Vec<u8>>,
    /// Year of birth.
    #[diesel(sql_type = Nullable<Integer>)]
    pub birth_year: Option<i32>,
    #[diesel(sql_type = SqlUuid)]
    home_unit_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    org_id: Option<Uuid>,
}

/// The columns of [`PersonRow`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.person_id, p.pseudonym, p.name_sealed, p.id_no_sealed, p.phone_sealed, p.birth_year,
                    p.home_unit_id, p.org_id
               FROM persons p ",
            $rest
        )
    };
}

impl PersonRow {
    /// Its id.
    pub fn id(&self) -> PersonId {
        PersonId(self.person_id)
    }

    /// Where the person lives or works.
    pub fn home_unit_id(&self) -> UnitId {
        UnitId(self.home_unit_id)
    }

    /// The organisation the person acts for.
    pub fn org_id(&self) -> Option<OrgId> {
        self.org_id.map(OrgId)
    }
}

/// Personal fields in clear: never `Debug`, never logged.
pub struct Clear {
    /// Name.
    pub name: String,
    /// Identity number; empty when unknown.
    pub id_no: String,
    /// Phone; empty when unknown.
    pub phone: String,
}

/// What a person is found by.
pub enum Key {
    /// By identity number.
    IdNo(IdNumber),
    /// By phone.
    Phone(Phone),
}

/// The personal data vault.
#[derive(Clone, Debug)]
pub struct People {
    crypto: Crypto,
}

impl People {
    /// With the keys of the suite.
    pub fn new(crypto: Crypto) -> Self {
        Self { crypto }
    }

    /// Stores a new person under a random pseudonym.
    ///
    /// # Errors
    /// `AlreadyExists` when the identity number is known.
    pub async fn insert(
        &self,
        conn: &mut AsyncPgConnection,
        id: PersonId,
        person: &NewPerson,
        org_id: Option<OrgId>,
        pseudonym: &str,
        now: Timestamp,
    ) -> Result<()> {
        let context = personal::seal_context(id);
        let seal = |field: Field, value: &str| self.crypto.seal(field.label(), value.as_bytes(), &context);
        let index = |field: Field, value: &str| self.crypto.blind_index(field.label(), value).to_vec();
        let id_no = person.id_no.as_ref().map(IdNumber::as_str);
        let phone = person.phone.as_ref().map(Phone::as_str);
        cached(
            "INSERT INTO persons (person_id, pseudonym, name_sealed, id_no_sealed, id_no_index, phone_sealed, phone_index,
                                  birth_year, home_unit_id, org_id, notice_version, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(pseudonym)
        .bind::<Bytea, _>(seal(Field::Name, &person.name))
        .bind::<Nullable<Bytea>, _>(id_no.map(|v| seal(Field::IdNo, v)))
        .bind::<Nullable<Bytea>, _>(id_no.map(|v| index(Field::IdNo, v)))
        .bind::<Nullable<Bytea>, _>(phone.map(|v| seal(Field::Phone, v)))
        .bind::<Nullable<Bytea>, _>(phone.map(|v| index(Field::Phone, v)))
        .bind::<Nullable<Integer>, _>(person.birth_year)
        .bind::<SqlUuid, _>(person.home_unit_id.0)
        .bind::<Nullable<SqlUuid>, _>(org_id.map(|id| id.0))
        .bind::<Text, _>(&person.notice_version)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
        .await
        // The id of the other person is not told: the caller may not reach it.
        .map_err(|e| on_constraint(e, "persons_id_no_index_key", || Error::already_exists(KIND, "of this id_no")))?;
        Ok(())
    }

    /// The person found by a key whose home lies below one of `units`; the first by id when several share a phone.
    pub async fn find(
        &self,
        conn: &mut AsyncPgConnection,
        key: &Key,
        units: &[Uuid],
    ) -> Result<Option<PersonRow>> {
        let (sql, index) = match key {
            Key::IdNo(value) => (
                select!(
                    "JOIN units u ON u.unit_id = p.home_unit_id
                      WHERE p.id_no_index = $1 AND u.path && $2 ORDER BY p.person_id LIMIT 1"
                ),
                self.crypto.blind_index(Field::IdNo.label(), value.as_str()),
            ),
            Key::Phone(value) => (
                select!(
                    "JOIN units u ON u.unit_id = p.home_unit_id
                      WHERE p.phone_index = $1 AND u.path && $2 ORDER BY p.person_id LIMIT 1"
                ),
                self.crypto.blind_index(Field::Phone.label(), value.as_str()),
            ),
        };
        let row = cached(sql)
            .bind::<Bytea, _>(index.to_vec())
            .bind::<Array<SqlUuid>, _>(units)
            .get_result(conn)
            .await
            .optional()?;
        Ok(row)
    }

    /// Opens the personal fields.
    ///
    /// # Errors
    /// `Internal` when the key file does not hold the key they were sealed with.
    pub fn open(&self, row: &PersonRow) -> Result<Clear> {
        let context = personal::seal_context(row.id());
        let open = |field: Field, sealed: &[u8]| {
            let bytes = self.crypto.open(field.label(), sealed, &context)?;
            String::from_utf8(bytes).map_err(|_| super::corrupt("personal field"))
        };
        let open_opt = |field: Field, sealed: &Option<Vec<u8>>| {
            sealed.as_deref().map_or(Ok(String::new()), |sealed| open(field, sealed))
        };
        Ok(Clear {
            name: open(Field::Name, &row.name_sealed)?,
            id_no: open_opt(Field::IdNo, &row.id_no_sealed)?,
            phone: open_opt(Field::Phone, &row.phone_sealed)?,
        })
    }
}

/// One person, whoever asks.
pub async fn get(conn: &mut AsyncPgConnection, id: PersonId) -> Result<Option<PersonRow>> {
    let row =
        cached(select!("WHERE person_id = $1")).bind::<SqlUuid, _>(id.0).get_result(conn).await.optional()?;
    Ok(row)
}

/// Pseudonyms of people.
pub async fn pseudonyms(
    conn: &mut AsyncPgConnection,
    ids: &BTreeSet<PersonId>,
) -> Result<HashMap<PersonId, String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
        #[diesel(sql_type = Text)]
        pseudonym: String,
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<Row> = cached("SELECT person_id, pseudonym FROM persons WHERE person_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (PersonId(row.person_id), row.pseudonym)).collect())
}

/// One person, held against revocations of its grants until the transaction ends.
pub async fn get_for_share(conn: &mut AsyncPgConnection, id: PersonId) -> Result<Option<PersonRow>> {
    let row = cached(select!("WHERE person_id = $1 FOR KEY SHARE"))
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row)
}

/// Waits for another sign-in of the person, and holds the next one back until the transaction ends. Refreshes go on.
pub async fn lock_sign_in(conn: &mut AsyncPgConnection, id: PersonId) -> Result<()> {
    cached("SELECT 1 FROM persons WHERE person_id = $1 FOR NO KEY UPDATE")
        .bind::<SqlUuid, _>(id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Waits for tokens that are being issued to these people, and holds new ones back until the transaction ends. In the
/// order of their ids, so that two who hold several people never wait for each other.
pub async fn lock(conn: &mut AsyncPgConnection, ids: &BTreeSet<PersonId>) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    cached("SELECT 1 FROM persons WHERE person_id = ANY($1) ORDER BY person_id FOR UPDATE")
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// One person whose home lies below one of `units`; out of reach is as if there were none.
pub async fn within(conn: &mut AsyncPgConnection, id: PersonId, units: &[Uuid]) -> Result<Option<PersonRow>> {
    let row = cached(select!(
        "JOIN units u ON u.unit_id = p.home_unit_id
          WHERE p.person_id = $1 AND u.path && $2"
    ))
    .bind::<SqlUuid, _>(id.0)
    .bind::<Array<SqlUuid>, _>(units)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row)
}

/// As [`within`], and holds the row until the transaction ends: grants of one person are given one after another.
pub async fn lock_within(
    conn: &mut AsyncPgConnection,
    id: PersonId,
    units: &[Uuid],
) -> Result<Option<PersonRow>> {
    let row = cached(select!(
        "JOIN units u ON u.unit_id = p.home_unit_id
          WHERE p.person_id = $1 AND u.path && $2 FOR UPDATE OF p"
    ))
    .bind::<SqlUuid, _>(id.0)
    .bind::<Array<SqlUuid>, _>(units)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row)
}

/// Moves the homes of people of merged units to the successor.
pub async fn rehome(conn: &mut AsyncPgConnection, from: &[UnitId], to: UnitId) -> Result<()> {
    let from: Vec<Uuid> = from.iter().map(|id| id.0).collect();
    cached("UPDATE persons SET home_unit_id = $2, version = version + 1 WHERE home_unit_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(from)
        .bind::<SqlUuid, _>(to.0)
        .execute(conn)
        .await?;
    Ok(())
}
