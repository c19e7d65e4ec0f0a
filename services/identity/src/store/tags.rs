//! Tags of people. What a tag says enters and leaves this file sealed, bound to its benefit.

use chassis::{Result, Timestamp, crypto::Crypto, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Bytea, Nullable, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::corrupt;
use crate::domain::{
    PersonId,
    purpose::Field,
    tag::{Carried, PersonTag},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    benefit_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    person_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Bytea>)]
    code_sealed: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    review_at: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    ended: bool,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT benefit_id, person_id, code_sealed, since, review_at, ended, version
               FROM person_tags WHERE ",
            $rest
        )
    };
}

impl Row {
    fn tag(self, crypto: &Crypto) -> Result<PersonTag> {
        let carried = match (self.person_id, self.code_sealed, self.since) {
            (Some(person), Some(sealed), Some(since)) => {
                let code = crypto.open(Field::Tag.label(), &sealed, self.benefit_id.as_bytes())?;
                let code = String::from_utf8(code).map_err(|_| corrupt("tag"))?;
                Some(Carried { person_id: PersonId(person), code, since })
            }
            _ => None,
        };
        Ok(PersonTag {
            benefit_id: self.benefit_id,
            carried,
            review_at: self.review_at,
            ended: self.ended,
            version: self.version,
        })
    }
}

/// The tag of a benefit, held until the transaction ends.
///
/// # Errors
/// `Internal` when the key file does not hold the key it was sealed with.
pub async fn lock(conn: &mut AsyncPgConnection, crypto: &Crypto, benefit: Uuid) -> Result<Option<PersonTag>> {
    let row: Option<Row> = cached(select!("benefit_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(benefit)
        .get_result(conn)
        .await
        .optional()?;
    row.map(|row| row.tag(crypto)).transpose()
}

/// The tags that a person carries, oldest first.
///
/// # Errors
/// As [`lock`].
pub async fn of(conn: &mut AsyncPgConnection, crypto: &Crypto, person: PersonId) -> Result<Vec<PersonTag>> {
    let rows: Vec<Row> = cached(select!("person_id = $1 ORDER BY since, benefit_id LIMIT 100"))
        .bind::<SqlUuid, _>(person.0)
        .load(conn)
        .await?;
    rows.into_iter().map(|row| row.tag(crypto)).collect()
}

/// Writes a new or changed one.
pub async fn write(conn: &mut AsyncPgConnection, crypto: &Crypto, tag: &PersonTag) -> Result<()> {
    let carried = tag.carried.as_ref();
    let seal = |code: &str| crypto.seal(Field::Tag.label(), code.as_bytes(), tag.benefit_id.as_bytes());
    cached(
        "INSERT INTO person_tags (benefit_id, person_id, code_sealed, since, review_at, ended, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (benefit_id) DO UPDATE SET
           person_id = excluded.person_id, code_sealed = excluded.code_sealed, since = excluded.since,
           review_at = excluded.review_at, ended = excluded.ended, version = excluded.version",
    )
    .bind::<SqlUuid, _>(tag.benefit_id)
    .bind::<Nullable<SqlUuid>, _>(carried.map(|carried| carried.person_id.0))
    .bind::<Nullable<Bytea>, _>(carried.map(|carried| seal(&carried.code)))
    .bind::<Nullable<Timestamptz>, _>(carried.map(|carried| carried.since))
    .bind::<Nullable<Timestamptz>, _>(tag.review_at)
    .bind::<Bool, _>(tag.ended)
    .bind::<BigInt, _>(tag.version)
    .execute(conn)
    .await?;
    Ok(())
}
