//! A CSV file that is written in parts: what is there stays when the writing is interrupted, and goes on behind its last whole
//! page. `FILE.csv.part` holds the rows, `FILE.csv.part.json` how far they are; the file gets its name when it is whole. Its owner
//! alone may read them.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use chassis::files::PRIVATE;
use gateway::export::{BOM, Row, line};
use serde::{Deserialize, Serialize};

/// How far a file is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What is asked for, as a digest: another question is another file.
    pub asked: String,
    /// Where the list goes on; empty at its beginning.
    pub page_token: String,
    /// Rows so far, without the header.
    pub rows: u64,
    /// Bytes so far.
    pub bytes: u64,
}

/// A file in parts.
pub struct Part {
    path: PathBuf,
    out: BufWriter<File>,
    bytes: u64,
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Part {
    /// Goes on with the file at `path`, or begins it. Gives how far it is.
    ///
    /// # Errors
    /// Another ending than .csv; a part that answers another question; a disk that cannot be written to.
    pub fn open(path: &Path, asked: &str) -> Result<(Self, Mark)> {
        if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            bail!("only a .csv file can be written in parts (--resume)");
        }
        let part = with(path, ".part");
        let mark = match fs::read(with(path, ".part.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{}.json is broken", part.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Mark { asked: asked.to_owned(), ..Mark::default() }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}.json", part.display())),
        };
        if mark.asked != asked {
            bail!("{} answers another question; remove it and its .json to begin again", part.display());
        }
        let cannot = || format!("cannot write {}", part.display());
        let file = OpenOptions::new().create(true).write(true).truncate(false).mode(PRIVATE).open(&part);
        let mut file = file.with_context(cannot)?;
        if file.metadata().with_context(cannot)?.len() < mark.bytes {
            bail!("{} is shorter than it was; remove it and its .json to begin again", part.display());
        }
        // What was written after the last mark is asked for again.
        file.set_len(mark.bytes).with_context(cannot)?;
        file.seek(SeekFrom::End(0)).with_context(cannot)?;
        let mut opened = Self { path: path.to_owned(), out: BufWriter::new(file), bytes: mark.bytes };
        if mark.bytes == 0 {
            opened.put(BOM)?;
        }
        Ok((opened, mark))
    }

    fn put(&mut self, text: &str) -> Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the disk is full, and the like.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        self.put(&line(row))
    }

    /// Keeps how far it is: a page is whole.
    ///
    /// # Errors
    /// When the disk is full, and the like.
    pub fn mark(&mut self, mark: &mut Mark) -> Result<()> {
        self.out.flush()?;
        mark.bytes = self.bytes;
        let (name, aside) = (with(&self.path, ".part.json"), with(&self.path, ".part.json.new"));
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(PRIVATE).open(&aside);
        file?.write_all(&serde_json::to_vec(mark)?)?;
        fs::rename(&aside, &name)?;
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When the disk is full, and the like; the part stays then.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(with(&self.path, ".part"), &self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        fs::remove_file(with(&self.path, ".part.json"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn row(n: usize) -> Row {
        std::array::from_fn(|column| format!("{n}-{column}路灯"))
    }

    #[test]
    fn an_interrupted_file_goes_on_behind_its_last_whole_page() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cases.csv");
        let (mut part, mut mark) = Part::open(&path, "q").expect("begun");
        assert_eq!(mark.rows, 0);
        for n in 0..3 {
            part.write(&row(n)).expect("written");
        }
        (mark.rows, mark.page_token) = (3, "t-3".to_owned());
        part.mark(&mut mark).expect("marked");
        for ending in [".part", ".part.json"] {
            let mode = fs::metadata(with(&path, ending)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, PRIVATE, "{ending}");
        }
        part.write(&row(99)).expect("half a page");
        drop(part);
        assert!(!path.exists());
        assert!(Part::open(&path, "another").is_err());
        let (mut part, known) = Part::open(&path, "q").expect("gone on");
        assert_eq!(known, mark);
        part.write(&row(3)).expect("written");
        part.finish().expect("whole");
        let text = fs::read_to_string(&path).expect("the file");
        let expected: String = (0..4).map(|n| line(&row(n))).collect();
        assert_eq!(text, format!("{BOM}{expected}"));
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
        assert!(Part::open(&dir.path().join("cases.xlsx"), "q").is_err());
    }
}
