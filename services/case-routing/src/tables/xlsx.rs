//! XLSX: the first sheet, cell by cell. What the archive unpacks to is bounded before anything in it is read, by what comes out
//! and not by what it says, and so is the text of all cells before any of it is copied; document types and entities of the XML
//! are not expanded.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
};

use calamine::{DataRef, Reader, Xlsx};
use chassis::{Error, Result};
use rust_xlsxwriter::{Workbook, XlsxError};
use zip::ZipArchive;

use super::{MAX_CELL, MAX_COLUMNS, MAX_ROWS, MAX_TEXT, Row, Unreadable};

/// Most that an archive unpacks to, in bytes.
const MAX_UNPACKED: u64 = 64 << 20;
/// Most files in an archive; a workbook of one sheet has about ten.
const MAX_FILES: usize = 200;

pub fn write(header: &[&str], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    workbook(header, rows).map_err(Error::internal)
}

fn workbook(header: &[&str], rows: &[Vec<String>]) -> std::result::Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    // As text, which no program takes for a formula, a number or a date.
    for (column, name) in (0_u16..).zip(header) {
        sheet.write_string(0, column, *name)?;
    }
    for (number, row) in (1_u32..).zip(rows) {
        for (column, cell) in (0_u16..).zip(row).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write_string(number, column, cell)?;
        }
    }
    sheet.set_freeze_panes(1, 1)?;
    book.save_to_buffer()
}

pub fn read(bytes: &[u8]) -> std::result::Result<Vec<Row>, Unreadable> {
    bounded(bytes)?;
    let no = |_| Unreadable::NotXlsx;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(no)?;
    let first = book.sheet_names().into_iter().next().ok_or(Unreadable::NotXlsx)?;
    let mut sheet = book.worksheet_cells_reader(&first).map_err(no)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut left = MAX_TEXT;
    while let Some(cell) = sheet.next_cell().map_err(no)? {
        let (row, column) = cell.get_position();
        let number = row.saturating_add(1);
        let text = text(cell.get_value());
        // Blanks count: they are looked through in every cell that shares them.
        left = left.checked_sub(text.len()).ok_or(Unreadable::TooLarge)?;
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column >= MAX_COLUMNS || number > MAX_ROWS + 1 {
            return Err(Unreadable::TooMany);
        }
        if text.len() > MAX_CELL {
            return Err(Unreadable::LongCell(number));
        }
        // Cells come row by row; a sheet that says otherwise is none.
        match rows.last() {
            Some(last) if last.number == number => {}
            Some(last) if last.number > number => return Err(Unreadable::NotXlsx),
            _ => rows.push(Row { number, cells: Vec::new() }),
        }
        if let Some(row) = rows.last_mut() {
            if row.cells.len() <= column {
                row.cells.resize(column + 1, String::new());
            }
            row.cells[column] = text.to_owned();
        }
    }
    Ok(rows)
}

/// How many elements of a name there are, whatever stands before it.
fn elements(part: &[u8], name: &str) -> usize {
    let begins = |at: &usize| {
        let rest = part[at + 1..].strip_prefix(name.as_bytes());
        rest.and_then(<[u8]>::first).is_some_and(|next| next.is_ascii_whitespace() || b"/>".contains(next))
    };
    let marks = part.iter().enumerate().filter(|(_, byte)| b"<:".contains(byte));
    marks.map(|(at, _)| at).filter(begins).count()
}

/// Whether room is asked for a million shared texts or more, which no sheet holds.
fn asks_for_much(part: &[u8]) -> bool {
    const NAME: &[u8] = b"uniqueCount";
    let number = |after: &[u8]| {
        let value = after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start().get(1..)?;
        let zeros = value.iter().take_while(|byte| **byte == b'0').count();
        Some(value[zeros..].iter().take_while(|byte| byte.is_ascii_digit()).count())
    };
    let mut asked = part.windows(NAME.len()).enumerate().filter(|(_, word)| *word == NAME);
    asked.any(|(at, _)| number(&part[at + NAME.len()..]).is_some_and(|digits| digits > 6))
}

/// Unpacks every file, one after the other, and stops at the bound. The library makes room for as many shared texts (`si`) as a file
/// asks for, and copies font and format for each style (`xf`) and the path of its file for each `sheet`: what would take much more
/// than the files themselves is refused. It compares names byte by byte, so no spelling of them gets past.
fn bounded(bytes: &[u8]) -> std::result::Result<(), Unreadable> {
    // What begins as another container the library takes for a locked workbook, and follows its sectors in rings.
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Unreadable::NotXlsx);
    }
    let no = |_| Unreadable::NotXlsx;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(no)?;
    if archive.len() > MAX_FILES {
        return Err(Unreadable::TooLarge);
    }
    let most_texts = MAX_COLUMNS.saturating_mul(usize::try_from(MAX_ROWS).unwrap_or(usize::MAX));
    let (mut left, mut sheets, mut part) = (MAX_UNPACKED, 0, Vec::new());
    for number in 0..archive.len() {
        let file = archive.by_index(number).map_err(no)?;
        // As the library looks files up.
        let name = file.name().map_err(no)?.replace('\\', "/").to_ascii_lowercase();
        part.clear();
        file.take(left + 1).read_to_end(&mut part).map_err(|_| Unreadable::NotXlsx)?;
        let unpacked = u64::try_from(part.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(unpacked).ok_or(Unreadable::TooLarge)?;
        sheets += elements(&part, "sheet");
        let much = if name.ends_with("sharedstrings.xml") {
            asks_for_much(&part) || elements(&part, "si") > most_texts
        } else if name.ends_with("styles.xml") {
            part.len() > 4 << 20 || elements(&part, "xf").saturating_mul(part.len()) > 64 << 20
        } else {
            name.ends_with(".rels") && part.len() > 256 << 10
        };
        if much || sheets > MAX_FILES {
            return Err(Unreadable::TooLarge);
        }
    }
    Ok(())
}

/// A cell as text: whole numbers without a fraction, days as 2026-03-01.
fn text<'a>(value: &'a DataRef<'_>) -> Cow<'a, str> {
    let whole = |number: f64| number.fract() == 0.0 && number.abs() < 1e15;
    match value {
        DataRef::Empty => "".into(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.into(),
        DataRef::SharedString(text) => Cow::from(*text),
        DataRef::Int(number) => number.to_string().into(),
        DataRef::Float(number) if whole(*number) => format!("{number:.0}").into(),
        DataRef::Float(number) => number.to_string().into(),
        DataRef::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        DataRef::DateTime(at) => {
            let (year, month, day, ..) = at.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}").into()
        }
        // What no field takes, so that it is told with its row.
        DataRef::Error(error) => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// A workbook of which files with such names are others.
    fn workbook_with(others: &[(&str, &[u8])]) -> Vec<u8> {
        let good = write(&["a"], &[vec!["x".into()]]).unwrap();
        let mut zip = ZipArchive::new(Cursor::new(good)).unwrap();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for number in 0..zip.len() {
            let mut file = zip.by_index(number).unwrap();
            let (name, mut bytes) = (file.name().unwrap().into_owned(), Vec::new());
            file.read_to_end(&mut bytes).unwrap();
            if let Some((_, other)) = others.iter().find(|(end, _)| name.ends_with(*end)) {
                bytes = other.to_vec();
            }
            files.push((name, bytes));
        }
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        archive(&files)
    }

    #[test]
    fn a_text_that_many_cells_share_counts_with_every_cell() {
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let shared = |text: &str| {
            let text = format!("<si><t xml:space=\"preserve\">{text}</t></si>");
            format!("<?xml version=\"1.0\"?><sst xmlns=\"{main}\">{text}</sst>")
        };
        let sheet = |rows: u32| {
            let row = |n: u32| format!("<row r=\"{n}\"><c r=\"A{n}\" t=\"s\"><v>0</v></c></row>");
            let rows: String = (1..=rows).map(row).collect();
            let data = format!("<sheetData>{rows}</sheetData>");
            format!("<?xml version=\"1.0\"?><worksheet xmlns=\"{main}\">{data}</worksheet>")
        };
        let found = |text: &str, rows| {
            let (strings, sheet) = (shared(text), sheet(rows));
            let files =
                [("sharedStrings.xml", strings.as_bytes()), ("worksheets/sheet1.xml", sheet.as_bytes())];
            let book = workbook_with(&files);
            assert!(book.len() < 1 << 20, "{}", book.len());
            read(&book)
        };
        let long = "x".repeat(MAX_CELL);
        assert_eq!(found(&long, 2_000).unwrap().len(), 2_000);
        assert_eq!(found(&long, 3_000), Err(Unreadable::TooLarge));
    }

    #[test]
    fn what_a_file_asks_room_for_and_what_would_be_copied_often_is_bounded() {
        for count in
            ["uniqueCount=\"4000000000\"", "uniqueCount = '0009999999'", "\tuniqueCount\n=\"1000000\""]
        {
            let strings = format!("<x:sst xmlns:x=\"m\" {count}><x:si/></x:sst>");
            let book = workbook_with(&[("sharedStrings.xml", strings.as_bytes())]);
            assert_eq!(read(&book), Err(Unreadable::TooLarge), "{count}");
            let elsewhere = archive(&[("A/SHAREDSTRINGS.XML", strings.as_bytes())]);
            assert_eq!(read(&elsewhere), Err(Unreadable::TooLarge), "{count}");
        }
        let long = "0".repeat(200_000);
        let format = format!("<numFmt numFmtId=\"200\" formatCode=\"{long}\"/>");
        let styles = format!("<styleSheet>{format}{}</styleSheet>", "<xf numFmtId=\"200\"/>".repeat(1_000));
        let book = workbook_with(&[("styles.xml", styles.as_bytes())]);
        assert_eq!(read(&book), Err(Unreadable::TooLarge));
        let sheets = format!("<workbook>{}</workbook>", "<sheet id=\"a\"/>".repeat(MAX_FILES + 1));
        let book = workbook_with(&[("xl/workbook.xml", sheets.as_bytes())]);
        assert_eq!(read(&book), Err(Unreadable::TooLarge));
        // Another container with an archive behind it.
        let mut other = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".repeat(64);
        other.extend(write(&["a"], &[]).unwrap());
        assert_eq!(read(&other), Err(Unreadable::NotXlsx));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = archive(&[("xl/workbook.xml", &vec![b'0'; 65 << 20])]);
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        assert_eq!(read(&bomb), Err(Unreadable::TooLarge));
        let files: Vec<(String, &[u8])> = (0..=MAX_FILES).map(|n| (format!("f{n}"), &b"x"[..])).collect();
        let many: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        assert_eq!(read(&archive(&many)), Err(Unreadable::TooLarge));
    }

    #[test]
    fn what_is_no_workbook_is_refused_and_entities_stay_closed() {
        assert_eq!(read(&archive(&[("a.txt", b"a")])), Err(Unreadable::NotXlsx));
        let entities = br#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>
            <sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>&e;</t></si></sst>"#;
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        match read(&workbook_with(&[("sharedStrings.xml", entities)])) {
            Err(Unreadable::NotXlsx) => {}
            other => {
                let text = format!("{other:?}");
                assert!(host.trim().is_empty() || !text.contains(host.trim()), "{text}");
            }
        }
    }

    #[test]
    fn numbers_days_and_blank_rows_come_as_a_spreadsheet_shows_them() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write_string(0, 0, "a").unwrap();
        sheet.write_number(3, 1, 5.0).unwrap();
        sheet.write_number(3, 2, 1.5).unwrap();
        sheet.write_boolean(3, 3, true).unwrap();
        let day = rust_xlsxwriter::ExcelDateTime::parse_from_str("2026-03-01").unwrap();
        let format = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
        sheet.write_datetime_with_format(3, 4, day, &format).unwrap();
        let rows = read(&book.save_to_buffer().unwrap()).unwrap();
        let cells: Vec<&str> = rows[1].cells.iter().map(String::as_str).collect();
        assert_eq!((rows[1].number, cells), (4, vec!["", "5", "1.5", "yes", "2026-03-01"]));
        let far = {
            let mut book = Workbook::new();
            book.add_worksheet().write_string(1_000_000, 16_000, "x").unwrap();
            book.save_to_buffer().unwrap()
        };
        assert_eq!(read(&far), Err(Unreadable::TooMany));
    }
}
