//! Raw SQL whose prepared statement is kept. diesel never caches `sql_query`; this does, keyed by the text, which
//! doubled throughput. The text must therefore be constant: values go into binds, lists into arrays (`= ANY($1)`,
//! `unnest($1), unnest($2)`), never into the text. It names the columns of its result and has no `*` there: once a
//! migration of the next release has added a column, PostgreSQL refuses what was prepared with `*` ("cached plan must not
//! change result type") at every replica of this one. Rows are best made of arrays in a list of expressions, as in
//! `INSERT … SELECT unnest($1), unnest($2)` or `FROM (SELECT unnest($1) AS id, …) AS t`: `FROM unnest($1, $2)` keeps every
//! column in a set of its own first, which takes twice as long.

use std::marker::PhantomData;

use diesel::{
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

/// A query given as constant text, with its binds in order. Run it with `diesel_async::RunQueryDsl`; its rows are
/// `QueryableByName`.
#[derive(Debug, Clone)]
#[must_use = "queries do nothing until they are run"]
pub struct Cached<B = ()> {
    sql: &'static str,
    binds: B,
}

/// The binds before, and one more.
#[derive(Debug, Clone)]
pub struct With<B, ST, V> {
    before: B,
    value: V,
    sql_type: PhantomData<ST>,
}

/// Starts a statement-cached query: `cached("… $1").bind::<sql_types::Uuid, _>(id).load::<Row>(conn)`.
pub fn cached(sql: &'static str) -> Cached {
    Cached { sql, binds: () }
}

impl<B> Cached<B> {
    /// Gives the next `$n` its value.
    pub fn bind<ST, V>(self, value: V) -> Cached<With<B, ST, V>> {
        Cached { sql: self.sql, binds: With { before: self.binds, value, sql_type: PhantomData } }
    }
}

impl<B: QueryFragment<Pg>> QueryFragment<Pg> for Cached<B> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.sql);
        self.binds.walk_ast(out)
    }
}

impl<B, ST, V> QueryFragment<Pg> for With<B, ST, V>
where
    B: QueryFragment<Pg>,
    Pg: HasSqlType<ST>,
    V: ToSql<ST, Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.before.walk_ast(out.reborrow())?;
        out.push_bind_param_value_only(&self.value)
    }
}

impl<B> QueryId for Cached<B> {
    type QueryId = ();
    // The cache then goes by text and bind types.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<B> Query for Cached<B> {
    type SqlType = Untyped;
}

impl<B, Conn> diesel::query_dsl::RunQueryDsl<Conn> for Cached<B> {}
