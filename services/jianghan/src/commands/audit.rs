//! `jianghan audit`: who looked at personal data, and who gave and took roles. No RPC gives identity's audit trail: it is read from
//! the database by whoever has that and the key, and changed by nobody.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use chassis::{auth::Role, config::ServiceConfig, crypto::Crypto, db::Db};
use chrono::SecondsFormat;
use clap::{Args as ClapArgs, Subcommand};
use identity::{
    domain::audit::{Entry, Fault, Head},
    store::audit,
};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::{serve, unless_stopped};
use crate::out;

/// Columns of an export.
const COLUMNS: [&str; 12] = [
    "seq",
    "at",
    "actor_ref",
    "role",
    "purpose",
    "action",
    "object_kind",
    "object_id",
    "reason_code",
    "decision",
    "prev_hash",
    "hash",
];

/// Arguments of `audit`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Whether every entry is as it was written and none is gone; else exit 1 with the number of the first that is not. A tail that
    /// was cut off is found by `--head` alone.
    Check {
        /// The newest entry, as an earlier check told it.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = read_head)]
        head: Option<Head>,
    },
    /// Write the entries, oldest first, as CSV; with `--json`, or to a file that ends in .jsonl, as an object a line. They hold
    /// pseudonyms, codes and ids.
    Export {
        /// The file, which appears when it is whole, and not at all when it is stopped: .csv or .jsonl. Without it they are printed.
        #[arg(long, value_name = "FILE", value_parser = read_path)]
        out: Option<PathBuf>,
        /// Only entries behind this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

/// How entries are written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Csv,
    Lines,
}

/// Runs one of them on identity's database, which it neither migrates nor changes.
pub async fn run(args: Args) -> Result<ExitCode> {
    let config = ServiceConfig::load("identity")?;
    let crypto = Crypto::load(&config.key_file)?;
    let db = serve::connect("identity", &config, &crypto).await?;
    match args.action {
        Action::Check { head } => check(&db, &crypto, head, args.json).await,
        Action::Export { out, after } => export(&db, out, after, args.json).await,
    }
}

async fn check(db: &Db, crypto: &Crypto, noted: Option<Head>, json: bool) -> Result<ExitCode> {
    let mut conn = db.list_conn().await?;
    let found = audit::check(&mut conn, crypto, noted).await?;
    let (told, said) = verdict(&found);
    if json {
        out::say!("{told}")?;
    } else {
        out::say!("{said}")?;
    }
    Ok(if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What machines and people are told of the chain.
fn verdict(found: &Result<Option<Head>, Fault>) -> (Value, String) {
    match found {
        Ok(None) => {
            let told = json!({ "whole": true, "entries": 0, "head": null });
            (told, "完整 whole: no entry yet".to_owned())
        }
        Ok(Some((seq, hash))) => {
            let head = format!("{seq}:{}", hex(hash));
            let said = format!("完整 whole: {seq} entries; note the newest elsewhere, for --head: {head}");
            (json!({ "whole": true, "entries": seq, "head": head }), said)
        }
        Err(Fault { seq, cause }) => {
            let told = json!({ "whole": false, "broken_at": seq, "cause": cause });
            (told, format!("断裂 broken at entry {seq}: {cause}"))
        }
    }
}

async fn export(db: &Db, out: Option<PathBuf>, after: i64, json: bool) -> Result<ExitCode> {
    let Some(path) = out else {
        let form = if json { Form::Lines } else { Form::Csv };
        write(db, after, form, BufWriter::new(io::stdout())).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let entries = unless_stopped(&path, write_file(db, after, &path)).await?;
    if json {
        out::say!("{}", json!({ "entries": entries, "file": path }))?;
    } else {
        out::say!("{entries} entries in {}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes them to a file, which appears when it is whole.
async fn write_file(db: &Db, after: i64, path: &Path) -> Result<u64> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let file = NamedTempFile::new_in(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    let form = if path.extension().is_some_and(|ending| ending == "csv") { Form::Csv } else { Form::Lines };
    let entries = write(db, after, form, BufWriter::new(file.as_file())).await?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(entries)
}

/// Writes the entries behind a number page by page; gives how many.
async fn write(db: &Db, mut after: i64, form: Form, mut out: impl Write) -> Result<u64> {
    let mut conn = db.list_conn().await?;
    let mut written = 0;
    if form == Form::Csv {
        out.write_all(&row(&COLUMNS)?)?;
    }
    loop {
        let page = audit::page(&mut conn, after).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in &page {
            let line = match form {
                Form::Csv => row(&cells(entry))?,
                Form::Lines => format!("{}\n", object(entry)).into_bytes(),
            };
            out.write_all(&line)?;
            written += 1;
        }
    }
    out.flush()?;
    Ok(written)
}

/// A row of CSV.
fn row<T: AsRef<[u8]>>(cells: &[T]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

fn object(entry: &Entry) -> Value {
    let named = COLUMNS.iter().zip(cells(entry));
    let mut object: Map<String, Value> =
        named.map(|(name, cell)| ((*name).to_owned(), Value::from(cell))).collect();
    object.insert("seq".to_owned(), Value::from(entry.seq));
    Value::Object(object)
}

fn cells(entry: &Entry) -> [String; COLUMNS.len()] {
    let access = &entry.access;
    let role = Role::try_from(i32::from(access.role)).unwrap_or_default();
    let role = if access.role == 0 { String::new() } else { role.as_str_name().to_lowercase() };
    [
        entry.seq.to_string(),
        access.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        access.actor_ref.clone(),
        role.trim_start_matches("role_").to_owned(),
        access.purpose.clone(),
        access.action.clone(),
        access.object_kind.clone(),
        access.object_id.map(|id| id.to_string()).unwrap_or_default(),
        access.reason_code.clone(),
        access.decision.code().to_owned(),
        hex(&entry.prev_hash),
        hex(&entry.hash),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The newest entry as `check` tells it.
fn read_head(text: &str) -> Result<Head, String> {
    let read = || {
        let (seq, digits) = text.split_once(':')?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
        }
        Some((seq.parse().ok()?, hash))
    };
    read().ok_or_else(|| "is no number and hash such as 12:0a1b…, as `audit check` tells it".to_owned())
}

/// A file that says by its ending how it is written.
fn read_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let known = path.extension().is_some_and(|ending| ending == "csv" || ending == "jsonl");
    if known { Ok(path) } else { Err("ends in neither .csv nor .jsonl".to_owned()) }
}

#[cfg(test)]
mod tests {
    use identity::domain::audit::{Access, Decision};
    use uuid::Uuid;

    use super::*;

    fn entry() -> Entry {
        let access = Access {
            at: "2026-03-02T01:00:00Z".parse().expect("an instant"),
            actor_ref: "p-1".to_owned(),
            role: Role::StationHead as i16,
            purpose: "handle_appeal".to_owned(),
            action: "RevealPerson".to_owned(),
            object_kind: "person".to_owned(),
            object_id: Some(Uuid::nil()),
            reason_code: "home_visit".to_owned(),
            decision: Decision::Deny,
        };
        Entry::chain(Some((4, [1; 32])), access, |_| [0xab; 32])
    }

    #[test]
    fn an_entry_is_a_row_and_an_object_with_the_same_words() {
        let line = String::from_utf8(row(&cells(&entry())).expect("a row")).expect("text");
        let (before, own) = ("01".repeat(32), "ab".repeat(32));
        let nobody = Uuid::nil();
        let said = format!(
            "5,2026-03-02T01:00:00.000000Z,p-1,station_head,handle_appeal,RevealPerson,person,{nobody},home_visit,deny,{before},{own}\n"
        );
        assert_eq!(line, said);
        let object = object(&entry());
        assert_eq!((&object["seq"], &object["decision"]), (&json!(5), &json!("deny")));
        assert_eq!(object.as_object().map(Map::len), Some(COLUMNS.len()));
    }

    #[test]
    fn what_a_check_tells_of_the_newest_entry_is_read_by_the_next() {
        let newest = (5, [0xab; 32]);
        let (told, said) = verdict(&Ok(Some(newest)));
        let text = told["head"].as_str().expect("the newest");
        assert!(said.ends_with(text), "{said}");
        assert_eq!(read_head(text), Ok(newest));
        for wrong in ["", "5", "5:ab", "x:ab", &text.replace("ab", "gg"), &text.replace("ab", "é")] {
            assert!(read_head(wrong).is_err(), "{wrong}");
        }
        let (told, said) = verdict(&Err(Fault { seq: 3, cause: "was edited" }));
        assert_eq!(told, json!({ "whole": false, "broken_at": 3, "cause": "was edited" }));
        assert!(said.contains("entry 3: was edited"), "{said}");
    }
}
