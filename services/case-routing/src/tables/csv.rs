//! CSV (RFC 4180), with the row numbers that a spreadsheet shows: a record is a row, also a blank one, however many lines it has.

use std::borrow::Cow;

use super::{MAX_CELL, MAX_COLUMNS, MAX_ROWS, Row, Unreadable};

/// So that spreadsheet programs read the file as UTF-8.
const BOM: char = '\u{feff}';

/// What a spreadsheet program may take for a formula.
fn is_formula(cell: &str) -> bool {
    let sign = |c: char| {
        matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '|' | '%' | '\t' | '\r' | '\n')
    };
    cell.trim_start_matches('\'').trim_start_matches(' ').starts_with(sign)
}

/// The cell with an apostrophe in front where a spreadsheet program would take it for a formula: that makes text of it.
#[must_use]
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { format!("'{cell}").into() } else { cell.into() }
}

/// The cell without the apostrophe that kept it from being a formula.
#[must_use]
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

pub fn write(header: &[&str], rows: &[Vec<String>]) -> Vec<u8> {
    let mut text = String::from(BOM);
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (number, cell) in cells.enumerate() {
            if number > 0 {
                text.push(',');
            }
            text.push('"');
            text.push_str(&guarded(cell).replace('"', "\"\""));
            text.push('"');
        }
        text.push_str("\r\n");
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text.into_bytes()
}

/// Where the reader is in a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Bare,
    Quoted,
    /// After a quotation mark inside quotes: the end, or half of a pair.
    Closing,
}

pub fn read(bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?;
    let mut rows = vec![Row { number: 1, cells: Vec::new() }];
    let (mut cell, mut state) = (String::new(), State::Start);
    let text = text.strip_prefix(BOM).unwrap_or(text).replace("\r\n", "\n");
    for c in text.chars().chain(['\n']) {
        let number = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        match (state, c) {
            (State::Quoted, '"') => state = State::Closing,
            (State::Quoted, c) => cell.push(c),
            (State::Closing, '"') => {
                cell.push('"');
                state = State::Quoted;
            }
            (_, ',' | '\n') => {
                let row = rows.last_mut().map(|row| &mut row.cells).ok_or(Unreadable::Empty)?;
                row.push(unguarded(&cell).trim().to_owned());
                if row.len() > MAX_COLUMNS || number > MAX_ROWS + 1 {
                    return Err(Unreadable::TooMany);
                }
                cell.clear();
                state = State::Start;
                if c == '\n' {
                    rows.push(Row { number: number + 1, cells: Vec::new() });
                }
            }
            (State::Start, '"') => state = State::Quoted,
            (State::Start | State::Bare, c) if c != '"' => {
                cell.push(c);
                state = State::Bare;
            }
            _ => return Err(Unreadable::Quotes(number)),
        }
        if cell.len() > MAX_CELL {
            return Err(Unreadable::LongCell(number));
        }
    }
    if state != State::Start {
        return Err(Unreadable::Quotes(u32::try_from(rows.len()).unwrap_or(u32::MAX)));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(u32, Vec<String>)> {
        read(text.as_bytes()).unwrap().into_iter().map(|row| (row.number, row.cells)).collect()
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_shows_them() {
        let found = cells("\u{feff}a,b\r\n\"x\n\"\"y\"\"\",2\n\n3, 4 \n");
        assert_eq!(found[1], (2, vec!["x\n\"y\"".into(), "2".into()]));
        assert_eq!(found[2], (3, vec![String::new()]));
        assert_eq!(found[3], (4, vec!["3".into(), "4".into()]));
    }

    #[test]
    fn quotes_must_match_and_the_row_is_named() {
        for (text, row) in [("a\n\"b", 2), ("a\nb\"c", 2), ("a\n\n\"b\"c", 3)] {
            let found = read(text.as_bytes());
            let named = matches!(found, Err(Unreadable::Quotes(number)) if number >= row);
            assert!(named, "{text:?}: {found:?}");
        }
        assert_eq!(read(&[0xb0, 0xa1]), Err(Unreadable::NotUtf8));
    }

    #[test]
    fn a_formula_is_written_as_text_and_read_as_it_was() {
        let rows = vec![vec!["=1+1".to_owned(), "'=1".to_owned(), "it's".to_owned(), "'".to_owned()]];
        let bytes = write(&["a", "b", "c", "d"], &rows);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("\"'=1+1\",\"''=1\",\"it's\",\"'\""), "{text}");
        assert_eq!(read(&bytes).unwrap()[1].cells, rows[0]);
    }
}
