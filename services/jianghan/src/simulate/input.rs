//! What arrives: rows of a CSV, their spacing kept and shifted to the domain's now, or a synthetic day.

use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Duration, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    keywords,
    mapping::{Mapper, Record},
};

/// One request that will arrive.
#[derive(Clone, Debug)]
pub struct Row {
    /// Number of the row; with the seed it decides the place and every chance.
    pub number: u64,
    /// Domain time of its arrival.
    pub arrival: DateTime<Utc>,
    /// What the resident says.
    pub text: String,
    /// What its label stands for, else what the simulated dispatcher picks by the words.
    pub item: String,
    /// Whether the window can tell the item by its label; else a dispatcher has to look.
    pub certain: bool,
}

/// Reads a CSV. Rows without a time keep their place behind the row before them.
pub fn read(
    path: &Path,
    columns: Option<&Path>,
    limit: Option<usize>,
    start: DateTime<Utc>,
) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(Mapper::delimiter(columns)?)
        .flexible(true)
        .from_path(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let no_csv = || format!("{} is not a CSV file in UTF-8", path.display());
    let header = reader.headers().with_context(no_csv)?.clone();
    let header: csv::StringRecord =
        header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let mapper = Mapper::load(columns, &header)?;
    let mut records: Vec<Record> = Vec::new();
    let mut previous = None;
    for line in reader.records() {
        let line = line.with_context(no_csv)?;
        if let Some(mut record) = mapper.record(&header, &line) {
            record.time = record.time.or(previous);
            previous = record.time;
            records.push(record);
        }
        if limit.is_some_and(|limit| records.len() >= limit) {
            break;
        }
    }
    if records.is_empty() {
        bail!("{} holds no messages", path.display());
    }
    let first = records.iter().filter_map(|record| record.time).min();
    let mut rows: Vec<_> = records
        .into_iter()
        .enumerate()
        .map(|(number, record)| {
            let since = match (record.time, first) {
                (Some(time), Some(first)) => time - first,
                _ => Duration::zero(),
            };
            let (item, certain) = item(&mapper, &record);
            Row { number: number as u64, arrival: start + since, text: text(&record), item, certain }
        })
        .collect();
    rows.sort_by_key(|row| row.arrival);
    Ok(rows)
}

/// The item, and whether it is certain: what a label that only says the category leaves open, the words have to say.
fn item(mapper: &Mapper, record: &Record) -> (String, bool) {
    let (subject, detail, label) = (&record.subject, &record.detail, &record.label);
    let Some(labelled) = mapper.item(label) else {
        return (keywords::pick(subject, detail).to_owned(), false);
    };
    if !mapper.refine {
        return (labelled.to_owned(), mapper.knows(label));
    }
    match keywords::named(subject, detail, Some(labelled)) {
        Some(named) => (named.to_owned(), mapper.knows(label)),
        None => (labelled.to_owned(), false),
    }
}

fn text(record: &Record) -> String {
    let text = if record.detail.is_empty() || record.detail == record.subject {
        record.subject.clone()
    } else {
        format!("{}\n{}", record.subject, record.detail)
    };
    // The API takes 20,000 characters; a longer message is cut as a window worker would sum it up.
    text.chars().take(20_000).collect()
}

/// A day of synthetic requests: what residents of any district say, spread over the hours as people call. Every other one has
/// a label that says what it is about.
pub fn synthetic(count: u64, seed: u64, start: DateTime<Utc>) -> Vec<Row> {
    let words = keywords::vocabulary();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows: Vec<_> = (0..count)
        .map(|number| {
            let (item, word) = words[rng.random_range(0..words.len())];
            let opening = OPENINGS[rng.random_range(0..OPENINGS.len())];
            let wish = WISHES[rng.random_range(0..WISHES.len())];
            // Two draws make mornings and evenings busier than nights.
            let minute = (rng.random_range(0..720) + rng.random_range(0..720)) % 1440;
            let text = format!("{opening}{word}，{wish}");
            let certain = number.is_multiple_of(2);
            let item = if certain { item } else { keywords::pick(&text, "") };
            Row { number, arrival: start + Duration::minutes(minute), text, item: item.to_owned(), certain }
        })
        .collect();
    rows.sort_by_key(|row| (row.arrival, row.number));
    rows
}

const OPENINGS: [&str; 6] = [
    "您好，想反映一下",
    "我们楼下一直有人说起",
    "请问关于",
    "邻居们商量后想说说",
    "连续几天了，",
    "社区门口",
];
const WISHES: [&str; 5] =
    ["希望尽快看看。", "请帮忙协调。", "不知道找谁，请告知。", "老人孩子都受影响。", "盼回复，谢谢。"];

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn arrivals_keep_their_spacing_and_start_at_the_given_time() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        write!(file, "subject,time\n路灯不亮,2020-01-02 00:00:00\n垃圾堆积,2020-01-01 00:00:00\n")
            .expect("written");
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let rows = read(file.path(), None, None, start).expect("rows");
        assert_eq!(rows[0].arrival, start);
        assert_eq!(rows[1].arrival - rows[0].arrival, Duration::days(1));
        assert_eq!(rows[0].number, 1, "the number is the row's place in the file");
    }

    #[test]
    fn a_limit_takes_the_first_messages_of_the_file_and_no_more() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        let lines = ["路灯不亮,2020-01-03", ",", "垃圾堆积,2020-01-02", "水管漏水,2020-01-01"];
        write!(file, "subject,time\n{}\n", lines.join("\n")).expect("written");
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let texts = |limit| -> Vec<String> {
            let rows = read(file.path(), None, limit, start).expect("rows");
            rows.into_iter().map(|row| row.text).collect()
        };
        assert_eq!(texts(Some(2)), ["垃圾堆积", "路灯不亮"], "a line without a message is none of them");
        for all in [Some(3), Some(9), None] {
            assert_eq!(texts(all), ["水管漏水", "垃圾堆积", "路灯不亮"], "{all:?}");
        }
    }

    #[test]
    fn a_header_in_another_encoding_is_told_by_the_file() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        file.write_all(b"\xc4\xda\xc8\xdd,time\n\xc2\xb7\xb5\xc6,2020-01-02\n").expect("written"); // GBK
        let told = read(file.path(), None, None, DateTime::UNIX_EPOCH).expect_err("it is no UTF-8");
        let told = format!("{told:#}");
        assert!(told.contains("is not a CSV file in UTF-8"), "{told}");
        assert!(told.contains(&file.path().display().to_string()), "{told}");
    }

    #[test]
    fn the_window_knows_the_item_by_a_label_that_says_it_and_a_dispatcher_looks_at_all_else() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        let lines = [
            "路灯不亮,城乡建设", // the category, and the words say the rest
            "想反映一件事情,城乡建设",
            "路灯不亮,没有这一类",
            "路灯不亮,",
            "想反映一件事情,",
        ];
        write!(file, "subject,label\n{}\n", lines.join("\n")).expect("written");
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let rows = read(file.path(), None, None, start).expect("rows");
        let told: Vec<_> = rows.iter().map(|row| (row.item.as_str(), row.certain)).collect();
        let other = keywords::pick("想反映一件事情", "");
        assert_eq!(
            told,
            [("CJ-0103", true), ("CJ-9901", false), ("DW-9901", false), ("CJ-0103", false), (other, false)]
        );
    }

    #[test]
    fn of_a_synthetic_day_some_requests_have_a_label_and_some_have_not() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let rows = synthetic(20, 7, start);
        assert_eq!(rows.iter().filter(|row| row.certain).count(), 10);
        let mut looked_at = rows.iter().filter(|row| !row.certain);
        assert!(looked_at.all(|row| row.item == keywords::pick(&row.text, "")));
    }

    #[test]
    fn a_synthetic_day_is_the_same_for_the_same_seed() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let texts = |seed| synthetic(20, seed, start).into_iter().map(|row| row.text).collect::<Vec<_>>();
        assert_eq!(texts(7), texts(7));
        assert_ne!(texts(7), texts(8));
    }
}
