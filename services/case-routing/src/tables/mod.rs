//! Lists as tables: read from CSV and XLSX with the row of everything that is wrong, written so that they come in again without
//! a difference. Pure; what is stored of them is others' affair.

mod csv;
mod entries;
mod fields;
mod items;
mod problem;
mod statuses;
mod xlsx;

pub use self::{
    csv::{guarded, unguarded},
    entries::{EntryContext, entry_cells, entry_header, read_entries},
    items::{ItemContext, item_cells, item_changes, item_header, read_items},
    problem::{Problem, Problems, text},
    statuses::{StatusRow, Statuses, read_statuses},
};

/// Largest file, in bytes.
pub const MAX_FILE: usize = 3 << 20;
/// Most rows below the header.
pub const MAX_ROWS: u32 = 10_000;
/// Most columns.
pub const MAX_COLUMNS: usize = 64;
/// Longest cell, in bytes.
pub const MAX_CELL: usize = 8_000;
/// Most text in all cells of a workbook, in bytes: of a text that many cells share, the file has one copy.
pub const MAX_TEXT: usize = 16 << 20;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, UTF-8.
    Csv,
    /// The first sheet counts.
    Xlsx,
}

/// A row with the number that a spreadsheet shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The header is 1.
    pub number: u32,
    /// Trimmed; rows may have fewer cells than the header.
    pub cells: Vec<String>,
}

/// A header and the rows below it that are not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// In the order of the file.
    pub rows: Vec<Row>,
}

/// A file that is no table; what is wrong with it, for the caller to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than [`MAX_FILE`] or, in its cells, [`MAX_TEXT`]; also once it is unpacked.
    #[error("is too large: at most 3 MiB, unpacked 64 MiB, of text in cells 16 MiB")]
    TooLarge,
    /// More than [`MAX_ROWS`], [`MAX_COLUMNS`].
    #[error("has too many rows or columns: at most 10000 and 64")]
    TooMany,
    /// Nothing is in it.
    #[error("has no header")]
    Empty,
    /// Another encoding.
    #[error("is not UTF-8; save it as \"CSV UTF-8\"")]
    NotUtf8,
    /// A cell's quotes do not match.
    #[error("has a wrong quotation mark in row {0}")]
    Quotes(u32),
    /// A cell is longer than [`MAX_CELL`].
    #[error("has a cell of more than 8000 bytes in row {0}")]
    LongCell(u32),
    /// Not of the format at all.
    #[error("is no XLSX workbook")]
    NotXlsx,
}

/// Reads a table.
///
/// # Errors
/// [`Unreadable`] for what is no table.
pub fn read(bytes: &[u8], format: Format) -> Result<Table, Unreadable> {
    if bytes.len() > MAX_FILE {
        return Err(Unreadable::TooLarge);
    }
    let rows = match format {
        Format::Csv => csv::read(bytes)?,
        Format::Xlsx => xlsx::read(bytes)?,
    };
    let blank = |row: &Row| row.cells.iter().all(String::is_empty);
    let mut rows = rows.into_iter().filter(|row| !blank(row));
    let header = rows.next().filter(|row| row.number == 1).ok_or(Unreadable::Empty)?.cells;
    let rows: Vec<Row> = rows.collect();
    let wide = rows.iter().any(|row| row.cells.len() > MAX_COLUMNS) || header.len() > MAX_COLUMNS;
    if wide || rows.len() > MAX_ROWS as usize {
        return Err(Unreadable::TooMany);
    }
    Ok(Table { header, rows })
}

/// Writes a table.
///
/// # Errors
/// For a cell longer than XLSX takes; the fields of lists are shorter.
pub fn write(header: &[&str], rows: &[Vec<String>], format: Format) -> chassis::Result<Vec<u8>> {
    match format {
        Format::Csv => Ok(csv::write(header, rows)),
        Format::Xlsx => xlsx::write(header, rows),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(header: &[&str], rows: &[Vec<String>]) -> [Table; 2] {
        [Format::Csv, Format::Xlsx].map(|format| read(&write(header, rows, format).unwrap(), format).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn what_is_written_is_read_again(
            cells in proptest::collection::vec(
                proptest::collection::vec("[ -~路灯；，\"\n'=+@-]{0,12}", 3), 1..12),
        ) {
            // Blanks around a cell are nobody's, and a blank row is none.
            let cells: Vec<Vec<String>> =
                cells.iter().map(|row| row.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
            for table in both(&["a", "b", "c"], &cells) {
                let expected: Vec<Row> = (2..)
                    .zip(&cells)
                    .filter(|(_, row)| row.iter().any(|cell| !cell.is_empty()))
                    .map(|(number, row)| Row { number, cells: row.clone() })
                    .collect();
                let padded: Vec<Row> = table.rows.into_iter().map(|mut row| {
                    row.cells.resize(3, String::new());
                    row
                }).collect();
                prop_assert_eq!(padded, expected);
            }
        }
    }

    #[test]
    fn a_table_has_a_header_and_bounds() {
        assert_eq!(read(b"", Format::Csv), Err(Unreadable::Empty));
        assert_eq!(read(b"\n\na,b\n", Format::Csv), Err(Unreadable::Empty), "the header is row 1");
        assert_eq!(read(&vec![b'x'; MAX_FILE + 1], Format::Csv), Err(Unreadable::TooLarge));
        let wide = vec!["x"; MAX_COLUMNS + 1].join(",");
        assert_eq!(read(wide.as_bytes(), Format::Csv), Err(Unreadable::TooMany));
        let long = format!("a\n{}", "x\n".repeat(MAX_ROWS as usize + 1));
        assert_eq!(read(long.as_bytes(), Format::Csv), Err(Unreadable::TooMany));
        let cell = format!("a\n{}", "x".repeat(MAX_CELL + 1));
        assert_eq!(read(cell.as_bytes(), Format::Csv), Err(Unreadable::LongCell(2)));
        assert_eq!(read(b"a\nPK", Format::Xlsx), Err(Unreadable::NotXlsx));
    }
}
