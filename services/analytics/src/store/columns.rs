//! A table whose rows are one domain type: its row, and statements that write many rows at once. The columns are named once.

/// Makes `Row` and the statements for a table from the list of its fields. A field is its column; one is `place_unit_id`.
macro_rules! fact_table {
    (
        $fact:ty, table $table:literal, key $key:ident,
        { $($field:ident: $ty:ty => $sql:ty,)+ }
    ) => {
        #[derive(diesel::QueryableByName)]
        struct Row {
            $(#[diesel(sql_type = $sql)] $field: $ty,)+
        }

        impl From<Row> for $fact {
            fn from(row: Row) -> Self {
                Self { $($field: row.$field,)+ }
            }
        }

        /// The names of the columns, in the order of the binds.
        const COLUMNS: &[&str] = &[$(stringify!($field)),+];

        static INSERT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let binds: Vec<String> = (1..=COLUMNS.len()).map(|n| format!("unnest(${n})")).collect();
            format!("INSERT INTO {} ({}) SELECT {}", $table, COLUMNS.join(", "), binds.join(", "))
        });

        static UPDATE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let key = stringify!($key);
            let sets = COLUMNS.iter().filter(|c| **c != key).map(|c| format!("{c} = t.{c}"));
            let binds = COLUMNS.iter().zip(1..).map(|(c, n)| format!("unnest(${n}) AS {c}"));
            format!(
                "UPDATE {} AS f SET {} FROM (SELECT {}) AS t WHERE f.{key} = t.{key}",
                $table,
                sets.collect::<Vec<_>>().join(", "),
                binds.collect::<Vec<_>>().join(", "),
            )
        });

        static LOCK: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let key = stringify!($key);
            format!(
                "SELECT {} FROM {} WHERE {key} = ANY($1) ORDER BY {key} FOR UPDATE",
                COLUMNS.join(", "),
                $table,
            )
        });

        static PAGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let key = stringify!($key);
            format!("SELECT {} FROM {} WHERE {key} > $1 ORDER BY {key} LIMIT $2", COLUMNS.join(", "), $table)
        });

        /// By the index of places.
        static OF_PLACE: std::sync::LazyLock<[String; 2]> = std::sync::LazyLock::new(|| {
            let key = stringify!($key);
            ["place_unit_id = $1", "$1 IS NOT NULL AND place_unit_id IS NULL"].map(|place| {
                format!(
                    "SELECT {} FROM {} WHERE {place} AND {key} > $2 ORDER BY {key} LIMIT $3",
                    COLUMNS.join(", "),
                    $table,
                )
            })
        });

        /// Facts after an id, in the order of the ids.
        pub async fn page(
            mut conn: &diesel_async::AsyncPgConnection,
            after: uuid::Uuid,
            limit: i64,
        ) -> chassis::Result<Vec<$fact>> {
            use diesel_async::RunQueryDsl;
            let rows: Vec<Row> = chassis::db::cached(PAGE.as_str())
                .bind::<diesel::sql_types::Uuid, _>(after)
                .bind::<diesel::sql_types::BigInt, _>(limit)
                .load(&mut conn)
                .await?;
            Ok(rows.into_iter().map(Into::into).collect())
        }

        /// Facts of a place after an id, in the order of the ids; the nil place is none.
        pub async fn of_place(
            mut conn: &diesel_async::AsyncPgConnection,
            place: uuid::Uuid,
            after: uuid::Uuid,
            limit: i64,
        ) -> chassis::Result<Vec<$fact>> {
            use diesel_async::RunQueryDsl;
            let [somewhere, nowhere] = &*OF_PLACE;
            let sql = if place.is_nil() { nowhere.as_str() } else { somewhere.as_str() };
            let rows: Vec<Row> = chassis::db::cached(sql)
                .bind::<diesel::sql_types::Uuid, _>(place)
                .bind::<diesel::sql_types::Uuid, _>(after)
                .bind::<diesel::sql_types::BigInt, _>(limit)
                .load(&mut conn)
                .await?;
            Ok(rows.into_iter().map(Into::into).collect())
        }

        /// The stored facts of these ids, locked in the order of the ids.
        pub async fn lock(
            mut conn: &diesel_async::AsyncPgConnection,
            ids: &std::collections::BTreeSet<uuid::Uuid>,
        ) -> chassis::Result<Vec<$fact>> {
            use diesel_async::RunQueryDsl;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let ids: Vec<uuid::Uuid> = ids.iter().copied().collect();
            let rows: Vec<Row> = chassis::db::cached(LOCK.as_str())
                .bind::<diesel::sql_types::Array<diesel::sql_types::Uuid>, _>(ids)
                .load(&mut conn)
                .await?;
            Ok(rows.into_iter().map(Into::into).collect())
        }

        /// Writes facts; those of the `stored` ids, which are locked, are there already.
        pub async fn save(
            conn: &diesel_async::AsyncPgConnection,
            facts: &[$fact],
            stored: &std::collections::HashSet<uuid::Uuid>,
        ) -> chassis::Result<()> {
            let (known, new): (Vec<_>, Vec<_>) = facts.iter().partition(|fact| stored.contains(&fact.$key));
            let (_, written) =
                futures::try_join!(write(conn, INSERT.as_str(), &new), write(conn, UPDATE.as_str(), &known))?;
            if written == known.len() {
                Ok(())
            } else {
                let missing = known.len() - written;
                Err(chassis::Error::internal(format!("{missing} locked rows are not in {}", $table)))
            }
        }

        async fn write(
            mut conn: &diesel_async::AsyncPgConnection,
            sql: &'static str,
            facts: &[&$fact],
        ) -> chassis::Result<usize> {
            use diesel_async::RunQueryDsl;
            if facts.is_empty() {
                return Ok(0);
            }
            let written = chassis::db::cached(sql)
                $(.bind::<diesel::sql_types::Array<$sql>, _>(
                    facts.iter().map(|fact| fact.$field.clone()).collect::<Vec<$ty>>(),
                ))+
                .execute(&mut conn)
                .await?;
            Ok(written)
        }
    };
}

pub(super) use fact_table;
