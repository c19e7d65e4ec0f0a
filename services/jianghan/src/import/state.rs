//! How far an import of a file is, beside the file: by it, a stopped import goes on where it was. It holds numbers only.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes at the head of a file by which it is told from another of the same length.
const HEAD: u64 = 1 << 20;

/// An import of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of the whole import.
    pub import_id: Uuid,
    /// Code of the system the cases come from.
    pub source: String,
    /// Rows of a batch: batches of a resumed import must be those of before.
    pub batch: usize,
    /// Digest of the mapping of its columns, likewise; empty in what an older program kept.
    #[serde(default)]
    pub columns: String,
    /// Length of the file and digest of its head.
    pub file: (u64, String),
    /// Where the next row begins: byte, line.
    pub next: (u64, u64),
    /// Digest of the file up to there; empty in what an older program kept.
    #[serde(default)]
    pub behind: String,
    /// Rows behind that.
    pub counts: Counts,
    /// Length of the list of problems then.
    pub problems_bytes: u64,
    /// Nothing is left.
    pub done: bool,
}

/// What became of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of the file.
    pub rows: u64,
    /// Stored.
    pub imported: u64,
    /// There already, or twice in the file.
    pub duplicates: u64,
    /// Refused.
    pub problems: u64,
}

/// `FILE.csv.import.json`.
pub fn path_of(file: &Path) -> PathBuf {
    beside(file, "import.json")
}

/// `FILE.csv.ending`.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

impl State {
    /// A new import of a file.
    ///
    /// # Errors
    /// When the file cannot be read; when an import of it was stopped and is not to be resumed.
    pub fn begin(file: &Path, import_id: Uuid, source: &str, batch: usize, columns: &str) -> Result<Self> {
        if let Some(known) = Self::read(file)?.filter(|known| !known.done) {
            bail!(
                "an import of this file stopped at line {}; --resume goes on, or remove {} to begin again",
                known.next.1,
                path_of(file).display()
            );
        }
        Self::new(file, import_id, source, batch, columns)
    }

    /// The same for a check, which keeps nothing: an import that was stopped stays as it is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(file: &Path, import_id: Uuid, source: &str, batch: usize, columns: &str) -> Result<Self> {
        Ok(Self {
            import_id,
            source: source.to_owned(),
            batch,
            columns: columns.to_owned(),
            file: print(file)?,
            next: (0, 1),
            behind: String::new(),
            counts: Counts::default(),
            problems_bytes: 0,
            done: false,
        })
    }

    /// The import of a file that was stopped.
    ///
    /// # Errors
    /// When there is none, the file is another by now, or the source or the mapping is.
    pub fn resume(file: &Path, source: &str, columns: &str) -> Result<Self> {
        let known = Self::read(file)?;
        let mut known =
            known.with_context(|| format!("{} is not there: nothing to resume", path_of(file).display()))?;
        let same = known.file == print(file)?
            && (known.behind.is_empty() || Behind::open(file)?.up_to(known.next.0)? == known.behind);
        if !same {
            bail!("{} is not the file whose import was stopped", file.display());
        }
        if known.source != source {
            bail!("--source: that import's is `{}`", known.source);
        }
        if known.columns.is_empty() {
            columns.clone_into(&mut known.columns);
        }
        if known.columns != columns {
            bail!(
                "--columns: that import was begun with another mapping; go on with that one, or remove {} to begin again: what \
                 is stored is known again",
                path_of(file).display()
            );
        }
        Ok(known)
    }

    /// Keeps it: written aside and put in place, so that there is always a whole one.
    ///
    /// # Errors
    /// When the disk is full, and the like.
    pub fn keep(&self, file: &Path) -> Result<()> {
        let path = path_of(file);
        let aside = beside(file, "import.json.new");
        fs::write(&aside, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&aside, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(file: &Path) -> Result<Option<Self>> {
        let path = path_of(file);
        match fs::read(&path) {
            Ok(bytes) => {
                let state = serde_json::from_slice(&bytes);
                Ok(Some(state.with_context(|| format!("{} is no state of an import", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

fn print(file: &Path) -> Result<(u64, String)> {
    let cannot = || format!("cannot read {}", file.display());
    let length = fs::metadata(file).with_context(cannot)?.len();
    let mut head = Vec::new();
    fs::File::open(file).with_context(cannot)?.take(HEAD).read_to_end(&mut head).with_context(cannot)?;
    Ok((length, digest(&head)))
}

/// Digest of bytes, as text.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest of a file up to where its import is: a file that was edited before that is another, and rows of it would be left out.
pub struct Behind {
    file: fs::File,
    digest: Sha256,
    at: u64,
}

impl Behind {
    /// At the beginning of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(file: &Path) -> Result<Self> {
        let opened = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self { file: opened, digest: Sha256::new(), at: 0 })
    }

    /// The digest up to a byte that lies behind that of the call before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn up_to(&mut self, byte: u64) -> Result<String> {
        let mut piece = vec![0; 1 << 16];
        let mut rest = (&mut self.file).take(byte.saturating_sub(self.at));
        loop {
            match rest.read(&mut piece).context("cannot read the file again")? {
                0 => break,
                read => self.digest.update(&piece[..read]),
            }
        }
        self.at = self.at.max(byte);
        Ok(hex(self.digest.clone().finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_import_is_resumed_by_itself_only_and_never_begun_again_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cases.csv");
        fs::write(&file, "id,place\n1,2\n").unwrap();
        assert!(State::resume(&file, "old", "m").is_err());
        let mut state = State::begin(&file, Uuid::nil(), "old", 1_000, "m").unwrap();
        state.next = (9, 2);
        state.behind = Behind::open(&file).unwrap().up_to(9).unwrap();
        state.keep(&file).unwrap();
        assert!(State::begin(&file, Uuid::nil(), "old", 1_000, "m").is_err());
        assert_eq!(State::resume(&file, "old", "m").unwrap(), state);
        assert!(State::resume(&file, "other", "m").is_err());
        fs::write(&file, "id,place\n1,3\n").unwrap();
        assert!(State::resume(&file, "old", "m").is_err(), "another file");
        state.done = true;
        state.keep(&file).unwrap();
        assert!(State::begin(&file, Uuid::nil(), "old", 1_000, "m").is_ok());
    }

    #[test]
    fn an_import_goes_on_with_the_mapping_that_it_was_begun_with() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cases.csv");
        fs::write(&file, "id,place\n1,2\n").unwrap();
        let mut state = State::begin(&file, Uuid::nil(), "old", 1_000, "m").unwrap();
        state.keep(&file).unwrap();
        let error = State::resume(&file, "old", "another").unwrap_err().to_string();
        assert!(error.starts_with("--columns") && error.contains("cases.csv.import.json"), "{error}");
        assert_eq!(State::resume(&file, "old", "m").unwrap(), state);
        // What an older program kept goes on with the mapping that is named, and then with no other.
        state.columns.clear();
        let mut older = serde_json::to_value(&state).unwrap();
        older.as_object_mut().unwrap().remove("columns");
        fs::write(path_of(&file), older.to_string()).unwrap();
        let resumed = State::resume(&file, "old", "another").unwrap();
        assert_eq!(resumed.columns, "another");
        resumed.keep(&file).unwrap();
        assert!(State::resume(&file, "old", "m").is_err());
    }

    #[test]
    fn a_check_needs_no_import_of_the_file_to_be_done() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cases.csv");
        fs::write(&file, "id,place\n1,2\n").unwrap();
        let begun = State::begin(&file, Uuid::nil(), "old", 1_000, "m").unwrap();
        begun.keep(&file).unwrap();
        assert!(State::begin(&file, Uuid::nil(), "old", 1_000, "m").is_err());
        let check = State::new(&file, Uuid::nil(), "old", 1_000, "another").unwrap();
        assert_eq!((check.next, check.counts), ((0, 1), Counts::default()));
    }

    #[test]
    fn a_file_that_was_edited_behind_its_head_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cases.csv");
        let long = vec![b'a'; usize::try_from(HEAD).unwrap() + 200_000];
        fs::write(&file, &long).unwrap();
        let mut state = State::begin(&file, Uuid::nil(), "old", 1_000, "m").unwrap();
        let mut behind = Behind::open(&file).unwrap();
        behind.up_to(10).unwrap();
        state.next = (HEAD + 100_000, 7);
        state.behind = behind.up_to(state.next.0).unwrap();
        state.keep(&file).unwrap();
        assert_eq!(State::resume(&file, "old", "m").unwrap(), state);
        let edited = |at: u64| {
            let mut edited = long.clone();
            edited[usize::try_from(at).unwrap()] = b'b';
            fs::write(&file, edited).unwrap();
            State::resume(&file, "old", "m").is_ok()
        };
        assert!(!edited(HEAD + 50_000), "rows that were read");
        assert!(edited(HEAD + 150_000), "those ahead may be put right");
    }
}
