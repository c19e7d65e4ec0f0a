//! What the measured parts use: processor time and memory by process, as the kernel tells it, and the dearest
//! statements, as PostgreSQL tells it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chassis::embedded::Postgres;
use serde::Serialize;

use super::report::round;

/// Ticks per second of the times in `/proc/PID/stat`: the kernel's USER_HZ, 100 on every architecture we run on.
const TICKS: f64 = 100.0;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident set: pages that several processes map count in each of them.
    pub resident: u64,
    /// Proportional set: a page that n processes map counts as 1/n in each.
    pub proportional: u64,
}

/// Memory of the process `pid`; zeros when it is gone.
pub fn memory(pid: u32) -> Memory {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let bytes = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0)
            * 1024
    };
    Memory { resident: bytes("Rss:"), proportional: bytes("Pss:") }
}

/// Parent and processor seconds of a process, without and with its ended children.
fn stat(pid: u32) -> Option<(u32, f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; what follows its last bracket does not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let own = (ticks(11)? + ticks(12)?) / TICKS;
    let children = (ticks(13)? + ticks(14)?) / TICKS;
    Some((fields.get(1)?.parse().ok()?, own, children))
}

/// Processor seconds that the process `pid` has used.
pub fn seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |(_, own, _)| own)
}

/// Processor seconds that `pid` and everything below it have used.
pub fn tree_seconds(pid: u32) -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes: Vec<(u32, u32, f64, f64)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| stat(pid).map(|(parent, own, children)| (pid, parent, own, children)))
        .collect();
    let (mut total, mut open) = (0.0, vec![pid]);
    while let Some(next) = open.pop() {
        for (pid, parent, own, children) in &processes {
            if *pid == next {
                total += own + children;
            }
            if *parent == next {
                open.push(*pid);
            }
        }
    }
    total
}

/// The process that listens on a TCP port of this machine, if we may see it.
pub fn listener(port: u16) -> Option<u32> {
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        sockets.extend(table.lines().filter_map(|line| listening(line, port)));
    }
    let holds = |pid: &u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|file| file.to_str().is_some_and(|name| sockets.contains(name)))
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(holds)
}

/// The socket of a line of `/proc/net/tcp` that listens on this port, as links to open files name it.
fn listening(line: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    // sl local_address rem_address st queues timer retransmits uid timeout inode …
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let inode = fields.get(9)?;
    let found = fields[3] == LISTEN && u16::from_str_radix(local, 16) == Ok(port);
    found.then(|| format!("socket:[{inode}]"))
}

/// One statement of one database over the measured time.
#[derive(Clone, Debug, Serialize)]
pub struct Statement {
    /// The database.
    pub database: String,
    /// Times it ran.
    pub calls: i64,
    /// Rows it gave or changed.
    pub rows: i64,
    /// Time at work in all, ms.
    pub total_ms: f64,
    /// Bytes of write-ahead log.
    pub wal_bytes: i64,
    /// Its text, shortened.
    pub text: String,
}

/// Begins to count anew.
pub async fn reset_statements(server: &Postgres) -> Result<()> {
    query(server, "SELECT pg_stat_statements_reset()").await.map(drop)
}

/// The `limit` statements that took longest since the last reset.
pub async fn statements(server: &Postgres, limit: u16) -> Result<Vec<Statement>> {
    let rows = query(
        server,
        &format!(
            "SELECT datname::text, calls, rows, total_exec_time + total_plan_time, wal_bytes::bigint, \
             left(regexp_replace(query, '\\s+', ' ', 'g'), 160) FROM pg_stat_statements \
             JOIN pg_database ON oid = dbid ORDER BY 4 DESC LIMIT {limit}"
        ),
    )
    .await?;
    Ok(rows
        .iter()
        .map(|row| Statement {
            database: row.get(0),
            calls: row.get(1),
            rows: row.get(2),
            total_ms: round(row.get(3)),
            wal_bytes: row.get(4),
            text: row.get(5),
        })
        .collect())
}

async fn query(server: &Postgres, sql: &str) -> Result<Vec<tokio_postgres::Row>> {
    let (client, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let rows = client.query(sql, &[]).await.context("asking PostgreSQL for its statements")?;
    drop(client);
    connection.await??;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_processor_time() {
        let pid = std::process::id();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while seconds(pid) == 0.0 && std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        let own = seconds(pid);
        assert!(own > 0.0);
        assert!(tree_seconds(pid) >= own);
        let memory = memory(pid);
        assert!(memory.resident >= memory.proportional && memory.proportional > 0);
    }

    #[test]
    fn who_listens_on_a_port_is_found() {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = socket.local_addr().expect("its address").port();
        assert_eq!(listener(port), Some(std::process::id()));
        drop(socket);
        assert_eq!(listener(port), None);
        let line = "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0 100";
        assert_eq!(listening(line, 8080).as_deref(), Some("socket:[4711]"));
        assert_eq!(listening(line, 8081), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 8080), None, "connected, not listening");
        assert_eq!(listening("  sl  local_address rem_address   st tx_queue", 8080), None);
    }
}
