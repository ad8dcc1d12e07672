//! A schema of its own for one test, in the database that `TEST_DATABASE_URL` names; dropped when the test ends, however it ends.

use std::future::Future;
use std::str::FromStr as _;
use std::sync::Arc;

use legwork_engine::store::Store;
use legwork_engine::store::postgres::PgStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::stores::run;

/// The URL of the test database; its user may make and drop schemas, and end connections.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their servers are")]
pub fn url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names the Postgres that the tests use; scripts/test starts one")
}

/// A name for a schema that no other test has.
pub fn fresh_schema() -> String {
    format!("test_{:032x}", fastrand::u128(..))
}

/// A connection beside the store's, with the schema as its search path.
pub async fn observer(schema: &str) -> PgConnection {
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("SET search_path TO {schema}"))).execute(&mut connection).await.unwrap();
    connection
}

/// Runs `case` on a fresh schema.
pub async fn postgres<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    in_schema(|store, _| case(store)).await;
}

/// The same for a case that looks into the schema itself.
pub async fn in_schema<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>, String) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let schema = fresh_schema();
    let store: Arc<dyn Store> = Arc::new(PgStore::connect(&url(), &schema, 4).await.unwrap());
    let ended = run(store, |store| case(store, schema.clone())).await;
    drop_schema(&schema).await;
    ended.unwrap();
}

/// Runs `case` in a database of its own, whose encoding holds less than UTF-8 does.
pub async fn in_latin1<C, F>(case: C)
where
    C: FnOnce(Arc<dyn Store>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let name = fresh_schema();
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    let make = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut connection).await.unwrap();
    let latin1 = PgConnectOptions::from_str(&url()).unwrap().database(&name).to_url_lossy();
    let store: Arc<dyn Store> = Arc::new(PgStore::connect(latin1.as_str(), "legwork", 4).await.unwrap());
    let ended = run(store, case).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
    ended.unwrap();
}

/// Drops a schema and all that is in it.
pub async fn drop_schema(schema: &str) {
    let mut connection = PgConnection::connect(&url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).execute(&mut connection).await.unwrap();
}
