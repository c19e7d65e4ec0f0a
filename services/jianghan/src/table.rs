//! Tables of any length as CSV or XLSX, row by row in bounded memory. The file is written beside its name and takes it
//! when it is whole; one that is given up is gone.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gateway::export::{BOM, Row, line};
use rust_xlsxwriter::Workbook;
use tempfile::{Builder, NamedTempFile};

/// Rows of a sheet in XLSX; what is more goes to the next sheet, under the same header.
const SHEET: u32 = 1_048_576;
/// Characters of a cell in XLSX.
const CELL: usize = 32_767;

/// A file in the making.
pub struct Table {
    path: PathBuf,
    file: NamedTempFile,
    form: Form,
}

enum Form {
    Csv(BufWriter<std::fs::File>),
    Xlsx(Box<Sheets>),
}

struct Sheets {
    book: Workbook,
    header: Option<Row>,
    sheets: usize,
    /// Rows of the sheet in hand.
    rows: u32,
    most: u32,
}

impl Table {
    /// Opens a file beside `path`, whose ending says what it is.
    ///
    /// # Errors
    /// Another ending; a folder that cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        Self::with_sheets_of(path, SHEET)
    }

    fn with_sheets_of(path: &Path, most: u32) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let file = Builder::new().prefix(".export-").tempfile_in(dir);
        let file = file.with_context(|| format!("cannot write to {}", dir.display()))?;
        let form = match ending.to_ascii_lowercase().as_str() {
            "csv" => {
                let mut out = BufWriter::new(file.reopen()?);
                out.write_all(BOM.as_bytes())?;
                Form::Csv(out)
            }
            "xlsx" => {
                let mut book = Workbook::new();
                // Rows lie beside the file until it is put together, not in memory.
                book.set_tempdir(dir)?;
                Form::Xlsx(Box::new(Sheets { book, header: None, sheets: 0, rows: most, most }))
            }
            _ => bail!("{} ends in neither .csv nor .xlsx", path.display()),
        };
        Ok(Self { path: path.to_owned(), file, form })
    }

    /// Appends a row; the first is the header.
    ///
    /// # Errors
    /// When the disk is full, and the like.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        match &mut self.form {
            Form::Csv(out) => Ok(out.write_all(line(row).as_bytes())?),
            Form::Xlsx(sheets) => sheets.write(row),
        }
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When the disk is full, and the like; then nothing is left.
    pub fn finish(self) -> Result<()> {
        match self.form {
            Form::Csv(mut out) => out.flush()?,
            Form::Xlsx(mut sheets) => sheets.book.save_to_writer(BufWriter::new(self.file.reopen()?))?,
        }
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }
}

impl Sheets {
    fn write(&mut self, row: &Row) -> Result<()> {
        if self.rows >= self.most {
            self.book.add_worksheet_with_constant_memory()?;
            (self.sheets, self.rows) = (self.sheets + 1, 0);
            if let Some(header) = self.header.clone() {
                self.append(&header)?;
            }
        }
        self.header.get_or_insert_with(|| row.clone());
        self.append(row)
    }

    /// Cells are written as text, which no program takes for a formula.
    fn append(&mut self, row: &Row) -> Result<()> {
        let sheet = self.book.worksheet_from_index(self.sheets - 1)?;
        for (column, cell) in (0_u16..).zip(row) {
            if !cell.is_empty() {
                let shown: String = cell.chars().take(CELL).collect();
                sheet.write_string(self.rows, column, shown)?;
            }
        }
        self.rows += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use calamine::{Data, Reader as _, Xlsx, open_workbook};

    use super::*;

    fn row(n: usize) -> Row {
        std::array::from_fn(|column| format!("={n}-{column}路灯"))
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).expect("a folder").count()
    }

    #[test]
    fn a_csv_file_appears_when_it_is_whole_and_not_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cases.csv");
        fs::write(&path, "old").expect("written");
        let mut table = Table::create(&path).expect("opened");
        for n in 0..1_000 {
            table.write(&row(n)).expect("written");
        }
        assert_eq!(fs::read_to_string(&path).expect("the old one"), "old");
        table.finish().expect("whole");
        let text = fs::read_to_string(&path).expect("the new one");
        assert_eq!(text.lines().count(), 1_000);
        assert!(text.starts_with("\u{feff}\"'=0-0路灯\","), "{}", &text[..40]);
        assert_eq!(files(dir.path()), 1);
    }

    #[test]
    fn what_is_given_up_leaves_nothing_and_another_ending_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["cases.csv", "cases.xlsx"] {
            let mut table = Table::create(&dir.path().join(name)).expect("opened");
            table.write(&row(1)).expect("written");
            drop(table);
            assert_eq!(files(dir.path()), 0, "{name}");
        }
        assert!(Table::create(&dir.path().join("cases.pdf")).is_err());
        assert!(Table::create(&dir.path().join("no/such/cases.csv")).is_err());
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn more_rows_than_a_sheet_takes_go_to_the_next_under_the_same_header() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cases.xlsx");
        let mut table = Table::with_sheets_of(&path, 100).expect("opened");
        for n in 0..250 {
            table.write(&row(n)).expect("written");
        }
        let Form::Xlsx(sheets) = &table.form else { panic!("an XLSX file") };
        // 100, then 99 and 51 besides the header.
        assert_eq!((sheets.sheets, sheets.rows), (3, 52));
        table.finish().expect("whole");
        assert_eq!(files(dir.path()), 1);
        let mut book: Xlsx<_> = open_workbook(&path).expect("a workbook");
        let text = |cell: &Data| match cell {
            Data::String(text) => text.clone(),
            other => panic!("{other:?} is not text"),
        };
        let (names, mut read) = (book.sheet_names(), Vec::<Vec<String>>::new());
        for name in &names {
            let sheet = book.worksheet_range(name).expect("a sheet");
            let mut rows = sheet.rows().map(|row| row.iter().map(text).collect::<Vec<String>>());
            assert_eq!(rows.next(), Some(row(0).to_vec()), "{name}");
            read.extend(rows);
        }
        assert_eq!(names.len(), 3);
        assert_eq!(read, (1..250).map(|n| row(n).to_vec()).collect::<Vec<_>>());
    }
}
