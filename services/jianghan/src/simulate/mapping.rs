//! The mapping file: which columns of a CSV hold what, and which labels stand for which items. A few mappings are
//! shipped; others are read from files of the same form.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::times;

const MESSAGES: &str = include_str!("../../data/messages.map.toml");
const NYC311: &str = include_str!("../../data/nyc311.map.toml");
const LABELS: &str = include_str!("../../data/labels.toml");

/// A mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    columns: Columns,
    format: Format,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    keywords: Option<NamedFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    subject: Vec<String>,
    #[serde(default)]
    detail: Vec<String>,
    #[serde(default)]
    time: Vec<String>,
    #[serde(default)]
    label: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    #[serde(default = "comma")]
    delimiter: String,
    /// Roles of which all listed columns are joined.
    #[serde(default)]
    join: Vec<String>,
    #[serde(default = "space")]
    subject_separator: String,
    time_zone: String,
    time_formats: Vec<String>,
    on_missing_time: String,
    on_empty_subject: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    /// A shipped or local file of labels.
    file: Option<String>,
    /// Whether keywords may choose a more exact item of the label's category.
    refine: Option<bool>,
    #[serde(default)]
    items: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFile {
    #[serde(default)]
    refine: bool,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedFile {
    file: String,
}

fn comma() -> String {
    ",".into()
}
fn space() -> String {
    " ".into()
}

/// What one line of a CSV says.
#[derive(Debug)]
pub struct Record {
    /// Short text.
    pub subject: String,
    /// Long text, may be empty.
    pub detail: String,
    /// When it came in, if the file says so.
    pub time: Option<DateTime<Utc>>,
    /// Label, may be empty.
    pub label: String,
}

/// A mapping made ready: labels resolved.
pub struct Mapper {
    mapping: Mapping,
    zone: chrono_tz::Tz,
    items: BTreeMap<String, String>,
    /// Whether keywords may choose a more exact item of the label's category.
    pub refine: bool,
}

impl Mapper {
    /// The mapping at `path`; without one, the shipped mapping that fits the header.
    pub fn load(path: Option<&Path>, header: &csv::StringRecord) -> Result<Self> {
        let (text, origin) = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the mapping file {}", path.display()))?;
                (text, path.display().to_string())
            }
            None if header.iter().any(|name| name == "complaint_type") => {
                (NYC311.into(), "nyc311.map.toml".into())
            }
            None => (MESSAGES.into(), "messages.map.toml".into()),
        };
        let mut mapping: Mapping =
            toml::from_str(&text).with_context(|| format!("{origin} is not a mapping file"))?;
        if !mapping.columns.subject.iter().any(|name| header.iter().any(|column| column == name)) {
            bail!(
                "the CSV has none of the subject columns {:?} that {origin} names",
                mapping.columns.subject
            );
        }
        let mut items = BTreeMap::new();
        let mut refine = false;
        if let Some(file) = mapping.labels.file.take() {
            let labels: LabelFile = toml::from_str(&sibling(path, &file)?)
                .with_context(|| format!("{file} is not a file of labels"))?;
            refine = labels.refine;
            items.extend(labels.labels);
        }
        if let Some(keywords) = &mapping.keywords
            && keywords.file != "keywords.toml"
        {
            bail!("{origin}: keywords.file: only the shipped `keywords.toml` can be named");
        }
        items.extend(std::mem::take(&mut mapping.labels.items));
        refine = mapping.labels.refine.unwrap_or(refine);
        let zone = mapping.format.time_zone.parse().map_err(|_| {
            anyhow::anyhow!("{origin}: format.time_zone: `{}` is not a time zone", mapping.format.time_zone)
        })?;
        if !matches!(mapping.format.on_missing_time.as_str(), "previous" | "skip") {
            bail!("{origin}: format.on_missing_time: `previous` or `skip`");
        }
        if !matches!(mapping.format.on_empty_subject.as_str(), "detail" | "skip") {
            bail!("{origin}: format.on_empty_subject: `detail` or `skip`");
        }
        Ok(Self { mapping, zone, items, refine })
    }

    /// The CSV's delimiter; needed before its header can be read.
    pub fn delimiter(path: Option<&Path>) -> Result<u8> {
        let Some(path) = path else { return Ok(b',') };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the mapping file {}", path.display()))?;
        let mapping: Mapping =
            toml::from_str(&text).with_context(|| format!("{} is not a mapping file", path.display()))?;
        match mapping.format.delimiter.as_bytes() {
            [byte] => Ok(*byte),
            _ => bail!("{}: format.delimiter: one ASCII character", path.display()),
        }
    }

    /// The column of the header that holds labels, if there is one.
    pub fn label_column<'a>(&self, header: &'a csv::StringRecord) -> Option<&'a str> {
        let names = &self.mapping.columns.label;
        names.iter().find_map(|name| header.iter().find(|column| column == name))
    }

    /// The first column of the header that holds subjects.
    pub fn subject_column<'a>(&self, header: &'a csv::StringRecord) -> Option<&'a str> {
        let names = &self.mapping.columns.subject;
        names.iter().find_map(|name| header.iter().find(|column| column == name))
    }

    /// Reads one line. `None` where the mapping says to skip it.
    pub fn record(&self, header: &csv::StringRecord, line: &csv::StringRecord) -> Option<Record> {
        let columns = &self.mapping.columns;
        let mut subject = self.text(header, line, "subject", &columns.subject);
        let detail = self.text(header, line, "detail", &columns.detail);
        if subject.chars().count() <= 1 {
            if self.mapping.format.on_empty_subject == "skip" || detail.is_empty() {
                return None;
            }
            subject = detail.chars().take(30).collect();
        }
        let time = self.time(&self.text(header, line, "time", &columns.time));
        if time.is_none() && self.mapping.format.on_missing_time == "skip" {
            return None;
        }
        Some(Record { subject, detail, time, label: self.text(header, line, "label", &columns.label) })
    }

    /// The item of a label.
    pub fn item(&self, label: &str) -> Option<&str> {
        if label.is_empty() {
            return None;
        }
        self.items.get(label).or_else(|| self.items.get("*")).map(String::as_str)
    }

    /// Whether the mapping names the label itself, and not only what stands for all others.
    pub fn knows(&self, label: &str) -> bool {
        label != "*" && self.items.contains_key(label)
    }

    fn text(
        &self,
        header: &csv::StringRecord,
        line: &csv::StringRecord,
        role: &str,
        names: &[String],
    ) -> String {
        let mut found = names
            .iter()
            .filter_map(|name| header.iter().position(|column| column == name))
            .filter_map(|index| line.get(index))
            .map(str::trim);
        if self.mapping.format.join.iter().any(|joined| joined == role) {
            let parts: Vec<_> = found.filter(|part| !part.is_empty()).collect();
            parts.join(&self.mapping.format.subject_separator)
        } else {
            found.next().unwrap_or_default().to_owned()
        }
    }

    fn time(&self, text: &str) -> Option<DateTime<Utc>> {
        if text.is_empty() { None } else { times::read(text, &self.mapping.format.time_formats, self.zone) }
    }
}

fn sibling(mapping: Option<&Path>, file: &str) -> Result<String> {
    if let Some(path) = mapping.and_then(Path::parent).map(|folder| folder.join(file))
        && path.exists()
    {
        return std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
    }
    match file {
        "labels.toml" => Ok(LABELS.into()),
        _ => bail!("labels.file: there is no `{file}` beside the mapping file"),
    }
}

#[cfg(test)]
mod tests {
    use case_routing::seed;

    use super::*;

    fn mapper(header: &[&str]) -> (Mapper, csv::StringRecord) {
        let header = csv::StringRecord::from(header.to_vec());
        (Mapper::load(None, &header).expect("the shipped mapping loads"), header)
    }

    #[test]
    fn both_time_forms_of_the_messages_are_read() {
        let (mapper, header) = mapper(&["subject", "detail", "label", "time"]);
        for text in ["2020/1/6 12:09:38", "2020-01-06 12:09:38", "2020-01-06T12:09:38.250+08:00"] {
            let line = csv::StringRecord::from(vec!["路灯不亮", "三天了", "城乡建设", text]);
            let record = mapper.record(&header, &line).expect("a record");
            assert_eq!(record.time.expect("a time").timestamp(), 1_578_283_778, "{text}");
        }
    }

    #[test]
    fn times_are_read_with_fractions_of_a_second_and_with_their_offset() {
        let (mut mapper, header) = mapper(&["subject", "time"]);
        let millis = |mapper: &Mapper, text: &str| {
            let line = csv::StringRecord::from(vec!["路灯不亮", text]);
            mapper.record(&header, &line).and_then(|record| record.time).map(|time| time.timestamp_millis())
        };
        for (text, fraction) in
            [("2020-01-06 12:09:38.123", 123), ("2020/1/6 12:09:38.123", 123), ("2020-01-06 12:09:38.0", 0)]
        {
            assert_eq!(millis(&mapper, text), Some(1_578_283_778_000 + fraction), "{text}");
        }
        mapper.mapping.format.time_formats = vec!["%Y-%m-%d %H:%M:%S %z".to_owned()];
        for text in ["2020-01-06 12:09:38 +0800", "2020-01-06 04:09:38 +0000"] {
            assert_eq!(millis(&mapper, text), Some(1_578_283_778_000), "{text}");
        }
    }

    #[test]
    fn labels_stand_for_items() {
        let (mapper, _) = mapper(&["subject"]);
        assert_eq!(mapper.item("城乡建设"), Some("CJ-9901"));
        assert_eq!(mapper.item(""), None);
        assert!(mapper.knows("城乡建设") && !mapper.knows(""));
        assert!(mapper.item("没有这一类").is_some() && !mapper.knows("没有这一类"), "as all others");
    }

    #[test]
    fn every_category_of_the_shipped_catalogue_is_a_label_for_its_item_of_whatever_fits_no_other() {
        let (mapper, _) = mapper(&["subject"]);
        for category in &seed::catalogue().categories {
            let label = &category.name_zh;
            assert_eq!(mapper.item(label), Some(category.default_item.as_str()), "{label}");
        }
        assert_eq!(mapper.items.len(), 15 + 1, "and one for every other label");
    }

    #[test]
    fn every_label_of_the_shipped_mappings_stands_for_an_item_of_the_shipped_catalogue() {
        for header in ["subject", "complaint_type"] {
            let (mapper, _) = mapper(&[header]);
            assert!(mapper.items.len() > 15, "{header}");
            for (label, code) in &mapper.items {
                let known = seed::catalogue().items.iter().any(|item| item.item_code == *code);
                assert!(known, "{label} stands for {code}");
            }
        }
    }

    #[test]
    fn service_requests_of_the_open_data_layout_are_read_by_the_mapping_that_fits_their_header() {
        let (mapper, header) =
            mapper(&["unique_key", "created_date", "complaint_type", "descriptor", "resolution_description"]);
        let read = |line: [&str; 5]| {
            mapper.record(&header, &csv::StringRecord::from(line.to_vec())).expect("a record")
        };
        let record = read(["1", "2024-04-16T03:03:15.000", "Street Condition", "Pothole", "Sent on."]);
        assert_eq!(record.subject, "Street Condition - Pothole", "joined");
        assert_eq!((record.detail.as_str(), record.label.as_str()), ("Sent on.", "Street Condition"));
        assert_eq!(record.time.expect("a time").timestamp(), 1_713_250_995, "of New York");
        assert_eq!(mapper.item(&record.label), Some("CJ-0101"));
        let record = read(["2", "", "Noise", "", ""]);
        assert_eq!((record.subject.as_str(), record.detail.as_str(), record.time), ("Noise", "", None));
    }

    #[test]
    fn a_csv_without_a_subject_column_is_refused_by_name() {
        let header = csv::StringRecord::from(vec!["a", "b"]);
        let error = Mapper::load(None, &header).err().expect("refused").to_string();
        assert!(error.contains("subject"), "{error}");
    }
}
