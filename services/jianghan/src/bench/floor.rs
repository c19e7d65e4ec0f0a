//! The floor: what this machine's disk and PostgreSQL give to durable single-row commits, by pgbench, in the same run.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result, bail};
use chassis::embedded::{Postgres, postgres};
use tokio::process::Command;

const SCRIPT: &str = "INSERT INTO floor (payload) VALUES (md5(random()::text));\n";

/// Durable single-row commits per second with one client and with as many as the bench has users.
pub async fn measure(server: &Postgres, users: usize, seconds: u64) -> Result<(f64, f64)> {
    postgres::create_database(&server.url("postgres"), "floor", None).await?;
    let (client, connection) = tokio_postgres::connect(&server.url("floor"), tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, payload text NOT NULL)")
        .await
        .context("making the table of the floor")?;
    drop(client);
    connection.await??;
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let one = pgbench(server, script.path(), 1, seconds).await?;
    let many = pgbench(server, script.path(), users, seconds).await?;
    Ok((one, many))
}

async fn pgbench(server: &Postgres, script: &Path, clients: usize, seconds: u64) -> Result<f64> {
    let output = Command::new(server.bin_dir().join("pgbench"))
        .arg("-h")
        .arg(server.socket_dir())
        .args(["-U", "jianghan", "-n", "-M", "prepared", "-T", &seconds.to_string()])
        .args(["-c", &clients.to_string(), "-j", "1", "-f"])
        .arg(script)
        .arg("floor")
        .stdin(Stdio::null())
        .output()
        .await
        .context("pgbench cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps =
        text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok());
    match tps {
        Some(tps) => Ok(tps),
        None => bail!("pgbench gave no figure: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
