//! A table whose rows are one domain type: its row, and an upsert of many rows by one statement-cached `unnest`. The
//! columns are named once.

/// Makes `Row`, `upsert` and `load` for a table from the list of its fields. A field is its column.
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

        static UPSERT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            let columns = COLUMNS.join(", ");
            let binds: Vec<String> = (1..=COLUMNS.len()).map(|n| format!("${n}")).collect();
            let sets: Vec<String> =
                COLUMNS.iter().filter(|c| **c != stringify!($key)).map(|c| format!("{c} = excluded.{c}")).collect();
            format!(
                "INSERT INTO {} ({columns}) SELECT * FROM unnest({}) ON CONFLICT ({}) DO UPDATE SET {}",
                $table,
                binds.join(", "),
                stringify!($key),
                sets.join(", "),
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

        /// Writes facts, new and known, in one statement. They come in the order of their ids.
        pub async fn save(
            mut conn: &diesel_async::AsyncPgConnection,
            facts: &[$fact],
        ) -> chassis::Result<()> {
            use diesel_async::RunQueryDsl;
            if facts.is_empty() {
                return Ok(());
            }
            chassis::db::cached(UPSERT.as_str())
                $(.bind::<diesel::sql_types::Array<$sql>, _>(
                    facts.iter().map(|fact| fact.$field.clone()).collect::<Vec<$ty>>(),
                ))+
                .execute(&mut conn)
                .await?;
            Ok(())
        }
    };
}

pub(super) use fact_table;
