//! A private cluster that is killed, restarted and started a second time.

use super::*;

async fn count(server: &Postgres) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(&server.url("kept"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn data_outlives_a_kill_and_a_second_start() {
    let options = Options { durable: true, ..Options::throw_away(true) };
    let mut server = Postgres::start(options.clone()).await.unwrap();
    assert!(server.create_database("kept", None).await.unwrap());
    assert!(!server.create_database("kept", None).await.unwrap());
    {
        let (client, connection) =
            tokio_postgres::connect(&server.url("kept"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await.unwrap();
    }
    let first = server.pid();
    server.kill9().await.unwrap();
    assert_eq!(server.pid(), 0);
    server.restart().await.unwrap();
    assert_ne!(server.pid(), first);
    assert_eq!(count(&server).await, 1);

    // Another start on the same folder is refused while this one runs, and names the pid.
    let again = Options { throw_away: false, ..options.clone() };
    let error = Postgres::start(again.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&server.pid().to_string()), "{error}");
    server.stop().await.unwrap();

    // A stale lock file of a process that is no PostgreSQL is a left-over.
    std::fs::write(options.dir.join("pg/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let second = Postgres::start(again).await.unwrap();
    assert_eq!(count(&second).await, 1);
}

#[test]
fn names_of_databases_are_plain() {
    for name in ["", "a b", "a\"b", "A", &"x".repeat(60)] {
        assert!(!is_name(name), "{name}");
    }
    assert!(is_name("case_routing") && is_name("t_01"));
}
