//! What the columns and words of a file of cases mean: a row becomes a case of the API, or says in which column it is wrong.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context, Result, bail};
use chassis::clock::to_proto;
use proto::case_routing::v1::{
    CaseState, Channel, ClosedCode, DeliveryMode, GeoPoint, ImportedCase, Urgency,
};
use serde::Deserialize;

use super::state::digest;
use crate::times;

const SHIPPED: &str = include_str!("../../data/cases.map.toml");

/// Characters of a text: the services refuse a whole batch that is too large, and a row says so for itself.
const MOST_TEXT: usize = 20_000;

/// Fields of a case that a column can hold.
const FIELDS: [&str; 24] = [
    "client_ref",
    "entered_by",
    "text",
    "place",
    "grid",
    "longitude",
    "latitude",
    "item",
    "state",
    "channel",
    "urgency",
    "anonymous",
    "vulnerable",
    "requester",
    "registered",
    "accepted",
    "due",
    "completed",
    "closed",
    "lead",
    "delivery_mode",
    "closed_code",
    "grade",
    "rated",
];

/// The field of the API that each of [`FIELDS`] fills, where its name is another.
const WIRE: [(&str, &str); 14] = [
    ("entered_by", "entered_by_person_id"),
    ("place", "place_unit_id"),
    ("grid", "grid_code"),
    ("longitude", "point.longitude_e6"),
    ("latitude", "point.latitude_e6"),
    ("item", "item_code"),
    ("requester", "requester_id"),
    ("registered", "registered_time"),
    ("accepted", "accepted_time"),
    ("due", "resolve_due_time"),
    ("completed", "completed_time"),
    ("closed", "closed_time"),
    ("lead", "lead_org_id"),
    ("rated", "rated_time"),
];

/// A mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    columns: BTreeMap<String, Vec<String>>,
    format: Format,
    #[serde(default)]
    words: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    delimiter: String,
    time_zone: String,
    time_formats: Vec<String>,
    yes: Vec<String>,
    no: Vec<String>,
}

/// What is wrong with a row: in which column, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Name of the column, or of the field where no column holds it.
    pub column: String,
    /// What is wrong, without repeating the value.
    pub problem: String,
}

/// A mapping made ready for a header.
#[derive(Debug)]
pub struct Columns {
    format: Format,
    zone: chrono_tz::Tz,
    words: BTreeMap<String, BTreeMap<String, String>>,
    /// Where each field stands, and what its column is called.
    places: HashMap<&'static str, (usize, String)>,
    units: HashMap<String, String>,
    orgs: HashMap<String, String>,
}

impl Columns {
    /// The delimiter; needed before the header can be read.
    ///
    /// # Errors
    /// What is wrong with the mapping file.
    pub fn delimiter(path: Option<&Path>) -> Result<u8> {
        match read(path)?.format.delimiter.as_bytes() {
            [byte] => Ok(*byte),
            _ => bail!("format.delimiter: one ASCII character"),
        }
    }

    /// By what an import knows again the mapping that it was begun with.
    ///
    /// # Errors
    /// When the mapping file cannot be read.
    pub fn digest(path: Option<&Path>) -> Result<String> {
        Ok(digest(text(path)?.as_bytes()))
    }

    /// The mapping at `path`, or the shipped one. `units` and `orgs` are ids by code.
    ///
    /// # Errors
    /// What is wrong with the mapping file, and a header without a column that every case needs.
    pub fn load(
        path: Option<&Path>,
        header: &csv::StringRecord,
        units: HashMap<String, String>,
        orgs: HashMap<String, String>,
    ) -> Result<Self> {
        let mapping = read(path)?;
        let known = |name: &String| FIELDS.contains(&name.as_str());
        if let Some(name) = mapping.columns.keys().chain(mapping.words.keys()).find(|name| !known(name)) {
            bail!("`{name}` is no field of a case; there are {}", FIELDS.join(", "));
        }
        let zone = mapping.format.time_zone.parse();
        let zone = zone.map_err(|_| anyhow::anyhow!("format.time_zone: not a time zone"))?;
        let mut places = HashMap::new();
        for field in FIELDS {
            let names = mapping.columns.get(field).map(Vec::as_slice).unwrap_or_default();
            let at = names.iter().find_map(|name| {
                let found =
                    header.iter().position(|column| column.trim_start_matches('\u{feff}').trim() == name);
                found.map(|index| (index, name.clone()))
            });
            if let Some(at) = at {
                places.insert(field, at);
            }
        }
        for field in ["client_ref", "place", "registered"] {
            if !places.contains_key(field) {
                bail!("no column holds `{field}`; name it in a mapping file (--columns)");
            }
        }
        Ok(Self { format: mapping.format, zone, words: mapping.words, places, units, orgs })
    }

    /// Reads one row.
    ///
    /// # Errors
    /// The first column that is wrong.
    pub fn case(&self, row: &csv::StringRecord) -> Result<ImportedCase, Wrong> {
        let text = self.text(row, "text");
        if text.len() > MOST_TEXT && text.chars().count() > MOST_TEXT {
            return Err(self.wrong("text", "has more than 20000 characters"));
        }
        Ok(ImportedCase {
            client_ref: self.text(row, "client_ref"),
            entered_by_person_id: self.text(row, "entered_by"),
            text,
            place_unit_id: self.id(row, "place", &self.units, "no unit has this code")?,
            item_code: self.text(row, "item"),
            state: self.code(
                row,
                "state",
                |name| CaseState::from_str_name(name).map(Into::into),
                "CASE_STATE_",
            )?,
            channel: self.code(
                row,
                "channel",
                |name| Channel::from_str_name(name).map(Into::into),
                "CHANNEL_",
            )?,
            urgency: self.code(
                row,
                "urgency",
                |name| Urgency::from_str_name(name).map(Into::into),
                "URGENCY_",
            )?,
            anonymous: self.flag(row, "anonymous")?,
            vulnerable: self.flag(row, "vulnerable")?,
            requester_id: self.text(row, "requester"),
            registered_time: self.time(row, "registered")?,
            accepted_time: self.time(row, "accepted")?,
            resolve_due_time: self.time(row, "due")?,
            completed_time: self.time(row, "completed")?,
            closed_time: self.time(row, "closed")?,
            lead_org_id: self.id(row, "lead", &self.orgs, "no organisation has this code")?,
            delivery_mode: self.code(
                row,
                "delivery_mode",
                |name| DeliveryMode::from_str_name(name).map(Into::into),
                "DELIVERY_MODE_",
            )?,
            closed_code: self.code(
                row,
                "closed_code",
                |name| ClosedCode::from_str_name(name).map(Into::into),
                "CLOSED_CODE_",
            )?,
            grade: self.number(row, "grade")?,
            rated_time: self.time(row, "rated")?,
            grid_code: self.text(row, "grid"),
            point: self.point(row)?,
        })
    }

    /// The column behind a field of the API; the field itself where no column holds it.
    pub fn column_of(&self, wire: &str) -> String {
        let field = WIRE.iter().find(|(_, name)| *name == wire).map_or(wire, |(field, _)| field);
        self.places.get(field).map_or_else(|| wire.to_owned(), |(_, column)| column.clone())
    }

    /// What the field says, by the words of the mapping.
    fn text(&self, row: &csv::StringRecord, field: &str) -> String {
        let raw = self.places.get(field).and_then(|(index, _)| row.get(*index)).unwrap_or_default().trim();
        let meant = self.words.get(field).and_then(|words| words.get(raw));
        meant.map_or(raw, String::as_str).to_owned()
    }

    fn wrong(&self, field: &str, problem: &str) -> Wrong {
        let column = self.places.get(field).map_or(field, |(_, column)| column).to_owned();
        Wrong { column, problem: problem.to_owned() }
    }

    fn id(
        &self,
        row: &csv::StringRecord,
        field: &str,
        ids: &HashMap<String, String>,
        problem: &str,
    ) -> Result<String, Wrong> {
        let code = self.text(row, field);
        if code.is_empty() || uuid::Uuid::try_parse(&code).is_ok() {
            return Ok(code);
        }
        ids.get(&code).cloned().ok_or_else(|| self.wrong(field, problem))
    }

    fn code(
        &self,
        row: &csv::StringRecord,
        field: &str,
        from: impl Fn(&str) -> Option<i32>,
        prefix: &str,
    ) -> Result<i32, Wrong> {
        let code = self.text(row, field);
        if code.is_empty() {
            return Ok(0);
        }
        from(&format!("{prefix}{}", code.to_ascii_uppercase()))
            .ok_or_else(|| self.wrong(field, "stands for nothing known"))
    }

    fn flag(&self, row: &csv::StringRecord, field: &str) -> Result<bool, Wrong> {
        let text = self.text(row, field).to_lowercase();
        match (self.format.yes.contains(&text), self.format.no.contains(&text)) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(self.wrong(field, "is neither yes nor no")),
        }
    }

    fn number(&self, row: &csv::StringRecord, field: &str) -> Result<i32, Wrong> {
        let text = self.text(row, field);
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| self.wrong(field, "is not a whole number"))
    }

    /// Both or neither.
    fn point(&self, row: &csv::StringRecord) -> Result<Option<GeoPoint>, Wrong> {
        let longitude_e6 = self.degrees(row, "longitude", 180.0)?;
        let latitude_e6 = self.degrees(row, "latitude", 90.0)?;
        match (longitude_e6, latitude_e6) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(self.wrong("longitude", "is missing beside the latitude")),
            (Some(_), None) => Err(self.wrong("latitude", "is missing beside the longitude")),
            // What systems write that do not know: in the sea off Africa.
            (Some(0), Some(0)) => {
                Err(self.wrong("longitude", "is 0, and so is the latitude: leave both empty"))
            }
            (Some(_), Some(_)) => Ok(Some(GeoPoint { longitude_e6, latitude_e6 })),
        }
    }

    /// Decimal degrees, as millionths.
    fn degrees(&self, row: &csv::StringRecord, field: &str, most: f64) -> Result<Option<i32>, Wrong> {
        let text = self.text(row, field);
        if text.is_empty() {
            return Ok(None);
        }
        let degrees = text.parse::<f64>().ok().filter(|degrees| (-most..=most).contains(degrees));
        let degrees =
            degrees.ok_or_else(|| self.wrong(field, "is not in decimal degrees within the world"))?;
        Ok(Some((degrees * 1e6).round() as i32))
    }

    fn time(&self, row: &csv::StringRecord, field: &str) -> Result<Option<prost_types::Timestamp>, Wrong> {
        let text = self.text(row, field);
        if text.is_empty() {
            return Ok(None);
        }
        times::read(&text, &self.format.time_formats, self.zone)
            .map(|time| Some(to_proto(time)))
            .ok_or_else(|| self.wrong(field, "is no time of the known forms"))
    }
}

/// Text of the mapping at `path`, or of the shipped one.
fn text(path: Option<&Path>) -> Result<Cow<'static, str>> {
    let Some(path) = path else { return Ok(SHIPPED.into()) };
    let text = std::fs::read_to_string(path);
    Ok(text.with_context(|| format!("cannot read the mapping file {}", path.display()))?.into())
}

fn read(path: Option<&Path>) -> Result<Mapping> {
    let mapping = toml::from_str(&text(path)?);
    mapping.with_context(|| match path {
        Some(path) => format!("{} is not a mapping file", path.display()),
        None => "the shipped mapping".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &[&str]) -> Result<Columns> {
        let units = HashMap::from([("420103005001".to_owned(), "u-1".to_owned())]);
        let orgs = HashMap::from([("dept:housing".to_owned(), "o-1".to_owned())]);
        Columns::load(None, &csv::StringRecord::from(header.to_vec()), units, orgs)
    }

    #[test]
    fn a_row_in_chinese_words_becomes_a_case() {
        let columns = columns(&[
            "\u{feff}工单编号",
            "内容",
            "地点编码",
            "状态",
            "登记时间",
            "结案时间",
            "结案方式",
            "满意度",
            "主办单位编码",
            "匿名",
        ])
        .expect("the shipped mapping fits");
        let row = [
            "A-1",
            "路灯不亮",
            "420103005001",
            "已结案",
            "2020/1/6 12:09:38",
            "2020-01-09",
            "已解决",
            "满意",
            "dept:housing",
            "否",
        ];
        let case = columns.case(&csv::StringRecord::from(row.to_vec())).expect("a case");
        assert_eq!(
            (case.client_ref.as_str(), case.place_unit_id.as_str(), case.lead_org_id.as_str()),
            ("A-1", "u-1", "o-1")
        );
        assert_eq!(
            (case.state(), case.closed_code(), case.grade),
            (CaseState::Closed, ClosedCode::Resolved, 4)
        );
        assert_eq!(case.registered_time.map(|at| at.seconds), Some(1_578_283_778));
        assert!(!case.anonymous && case.channel == 0);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_column() {
        let columns = columns(&["id", "地点编码", "registered", "state", "匿名", "grade"]).expect("it fits");
        let wrong = |row: [&str; 6]| {
            columns.case(&csv::StringRecord::from(row.to_vec())).expect_err("refused").column
        };
        assert_eq!(wrong(["1", "999", "2020-01-01", "closed", "", ""]), "地点编码");
        assert_eq!(wrong(["1", "420103005001", "yesterday", "closed", "", ""]), "registered");
        assert_eq!(wrong(["1", "420103005001", "2020-01-01", "gone", "", ""]), "state");
        assert_eq!(wrong(["1", "420103005001", "2020-01-01", "closed", "maybe", ""]), "匿名");
        assert_eq!(wrong(["1", "420103005001", "2020-01-01", "closed", "", "x"]), "grade");
        assert_eq!(columns.column_of("place_unit_id"), "地点编码");
        assert_eq!(columns.column_of("closed_time"), "closed_time");
    }

    #[test]
    fn times_are_read_with_fractions_of_a_second_and_with_their_offset() {
        let mut columns = columns(&["id", "地点编码", "登记时间"]).expect("it fits");
        let registered = |columns: &Columns, text: &str| {
            let row = csv::StringRecord::from(vec!["1", "420103005001", text]);
            let case = columns.case(&row).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            case.registered_time.map(|at| (at.seconds, at.nanos))
        };
        for (text, nanos) in [
            ("2020-01-06 12:09:38.123", 123_000_000),
            ("2020/1/6 12:09:38.123", 123_000_000),
            ("2020-01-06 12:09:38.0", 0),
            ("2020-01-06 12:09:38", 0),
        ] {
            assert_eq!(registered(&columns, text), Some((1_578_283_778, nanos)), "{text}");
        }
        columns.format.time_formats = vec!["%Y-%m-%d %H:%M:%S %z".to_owned()];
        for text in ["2020-01-06 12:09:38 +0800", "2020-01-06 04:09:38 +0000"] {
            assert_eq!(registered(&columns, text), Some((1_578_283_778, 0)), "{text}");
        }
    }

    #[test]
    fn grid_and_degrees_are_read_where_there_are_columns_for_them() {
        let header = ["id", "地点编码", "registered", "网格编码", "经度", "latitude"];
        let columns = columns(&header).expect("it fits");
        let read = |grid: &str, longitude: &str, latitude: &str| {
            let row = ["1", "420103005001", "2020-01-01", grid, longitude, latitude];
            columns.case(&csv::StringRecord::from(row.to_vec()))
        };
        let case = read("420103005001001", "114.270123", " 30.6 ").expect("a case");
        let point = GeoPoint { longitude_e6: Some(114_270_123), latitude_e6: Some(30_600_000) };
        assert_eq!((case.grid_code.as_str(), case.point), ("420103005001001", Some(point)));
        let none = read("", "", "").expect("both may be left out");
        assert_eq!((none.grid_code.as_str(), none.point), ("", None));
        assert!(read("", "0", "30.6").is_ok(), "on the meridian");
        for (longitude, latitude, column) in [
            ("114.27", "", "latitude"),
            ("", "30.6", "经度"),
            ("180.1", "30.6", "经度"),
            ("114.27", "-91", "latitude"),
            ("114°16'", "30.6", "经度"),
            ("NaN", "30.6", "经度"),
            ("0", "0.0", "经度"),
        ] {
            let wrong = read("", longitude, latitude).expect_err("refused");
            assert_eq!(wrong.column, column, "{longitude} {latitude}: {}", wrong.problem);
        }
        // What the services refuse is told by the same columns.
        let wire = ["grid_code", "point.longitude_e6", "point.latitude_e6"];
        let named = wire.map(|field| columns.column_of(field));
        assert_eq!(named, ["网格编码", "经度", "latitude"]);
    }

    #[test]
    fn a_text_that_is_too_long_is_a_problem_of_its_row() {
        let columns = columns(&["id", "地点编码", "registered", "内容"]).expect("it fits");
        let row = |text: String| {
            let row = ["1".to_owned(), "420103005001".to_owned(), "2020-01-01".to_owned(), text];
            columns.case(&csv::StringRecord::from(row.to_vec()))
        };
        assert!(row("灯".repeat(MOST_TEXT)).is_ok(), "characters, not bytes");
        assert_eq!(row("灯".repeat(MOST_TEXT + 1)).expect_err("refused").column, "内容");
    }

    #[test]
    fn a_header_without_what_every_case_needs_is_refused_by_name() {
        let error = columns(&["id", "place"]).expect_err("refused").to_string();
        assert!(error.contains("registered"), "{error}");
    }
}
