//! Labelled CSV files. Errors name the row and the column and never hold what stands there: it is what residents wrote.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use case_routing::tables::unguarded;
use classifier::Record;

use crate::simulate::mapping::Mapper;

/// Errors shown before the rest is only counted.
const SHOWN: usize = 10;

/// Reads a CSV with the columns `subject[,detail][,label]`, or those that the mapping names. Rows are counted from 1,
/// without the header. An apostrophe that keeps a cell from being a formula is taken away.
pub fn read(path: &Path, columns: Option<&Path>, needs_label: bool) -> Result<Vec<Record>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(file, &path.display().to_string(), columns, needs_label)
}

fn parse(
    input: impl std::io::Read,
    origin: &str,
    columns: Option<&Path>,
    needs_label: bool,
) -> Result<Vec<Record>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(Mapper::delimiter(columns)?).from_reader(input);
    let header =
        reader.headers().map_err(|_| anyhow!("{origin}: the header is not a line of CSV in UTF-8"))?;
    let header: csv::StringRecord =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let mapper = Mapper::load(columns, &header).with_context(|| origin.to_owned())?;
    let label = mapper.label_column(&header);
    if needs_label && label.is_none() {
        bail!("{origin}: the header has no column with labels");
    }
    let (mut records, mut wrong) = (Vec::new(), Vec::new());
    for (row, line) in (1_usize..).zip(reader.records()) {
        let line = line.map(|line| line.iter().map(unguarded).collect::<csv::StringRecord>());
        let problem = match line {
            Err(error) => problem(&error, &header)?,
            Ok(line) => match mapper.record(&header, &line) {
                None => format!("column `{}`: empty", mapper.subject_column(&header).unwrap_or("subject")),
                Some(record) if needs_label && record.label.is_empty() => {
                    format!("column `{}`: empty", label.unwrap_or("label"))
                }
                Some(record) => {
                    records.push(Record {
                        subject: record.subject,
                        detail: record.detail,
                        label: record.label,
                    });
                    continue;
                }
            },
        };
        wrong.push(format!("row {row}, {problem}"));
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(SHOWN);
        wrong.truncate(SHOWN);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        bail!("{origin}: {}", wrong.join("; "));
    }
    if records.is_empty() {
        bail!("{origin} holds no rows");
    }
    Ok(records)
}

/// What is wrong with a row that is not even CSV; reading failures end it all.
fn problem(error: &csv::Error, header: &csv::StringRecord) -> Result<String> {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = header.get(err.field()).unwrap_or("?");
            Ok(format!("column `{column}`: not UTF-8"))
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let column = header.get((*len).min(expected_len.saturating_sub(1)) as usize).unwrap_or("?");
            Ok(format!("column `{column}`: {len} fields where the header has {expected_len}"))
        }
        _ => bail!("reading failed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &[u8]) -> String {
        parse(text, "history.csv", None, true).expect_err("refused").to_string()
    }

    #[test]
    fn bad_rows_are_named_by_row_and_column_and_never_quoted() {
        let told = error("subject,detail,label\n路灯不亮,三天,城乡\n井盖丢失,一个,\n,,城乡\n".as_bytes());
        assert_eq!(told, "history.csv: row 2, column `label`: empty; row 3, column `subject`: empty");
    }

    #[test]
    fn a_row_with_too_few_fields_names_the_first_missing_column() {
        let told = error("subject,detail,label\n秘密文字,三天\n".as_bytes());
        assert_eq!(told, "history.csv: row 1, column `label`: 2 fields where the header has 3");
    }

    #[test]
    fn bytes_that_are_not_utf_8_name_their_column() {
        let told = error(b"subject,label\nabc,d\nabc,\xff\xfe\n");
        assert_eq!(told, "history.csv: row 2, column `label`: not UTF-8");
    }

    #[test]
    fn a_file_without_labels_is_refused_for_training_only() {
        let text = "subject\n路灯不亮\n".as_bytes();
        assert!(error(text).contains("no column with labels"));
        assert_eq!(parse(text, "new.csv", None, false).expect("rows").len(), 1);
    }

    #[test]
    fn a_long_list_of_bad_rows_is_cut() {
        let told = error(format!("subject,label\n{}", "路灯,\n".repeat(25)).as_bytes());
        assert!(told.ends_with("row 10, column `label`: empty; and 15 more"), "{told}");
    }
}
