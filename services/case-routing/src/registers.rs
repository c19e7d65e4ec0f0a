//! The registers of grids and components: the shipped classes, and lists as they are imported. A list is taken whole or not
//! at all; what is wrong is told by row and column, without the value.

use std::collections::HashSet;
use std::sync::LazyLock;

use chassis::{Error, Result};
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use crate::domain::patrol::{ComponentState, agrees_with_class, is_component_code, is_grid_code, is_point};

/// Longest list.
const MOST_BYTES: usize = 1 << 20;
const MOST_ROWS: usize = 5_000;
/// Longest name.
const MOST_CHARACTERS: usize = 60;

/// A class of components.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Two digits.
    pub code: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Its sub-classes.
    #[serde(rename = "subclass")]
    pub subclasses: Vec<Subclass>,
}

/// A sub-class of components.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subclass {
    /// Two digits.
    pub code: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Items of the catalogue that a finding about it may have.
    pub items: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassesFile {
    #[serde(rename = "class")]
    classes: Vec<Class>,
}

/// The shipped classes.
pub fn classes() -> &'static [Class] {
    static FILE: LazyLock<ClassesFile> = LazyLock::new(|| {
        let text = include_str!("../seed/component_classes.toml");
        toml::from_str(text)
            .unwrap_or_else(|error| panic!("the shipped component classes are broken: {error}"))
    });
    &FILE.classes
}

/// A sub-class by its codes.
pub fn subclass(class: &str, subclass: &str) -> Option<&'static Subclass> {
    let class = classes().iter().find(|known| known.code == class)?;
    class.subclasses.iter().find(|known| known.code == subclass)
}

/// A row that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file; the header is 1.
    pub row: usize,
    /// Column.
    pub column: &'static str,
    /// Why, without the value.
    pub message: String,
}

/// A grid as a list has it.
#[derive(Debug, Clone, PartialEq)]
pub struct GridRow {
    /// Line of the file.
    pub row: usize,
    pub grid_code: String,
    pub community_code: String,
    pub name: String,
    pub valid_from: NaiveDate,
    pub valid_to: Option<NaiveDate>,
}

/// A component as a list has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentRow {
    /// Line of the file.
    pub row: usize,
    pub component_code: String,
    pub class_code: String,
    pub subclass_code: String,
    pub name: String,
    pub grid_code: String,
    pub point: Option<(f64, f64)>,
    pub owner_org: String,
    pub state: ComponentState,
    pub valid_from: NaiveDate,
}

const GRID_COLUMNS: &[&str] = &["grid_code", "community_code", "name", "valid_from", "valid_to"];
const COMPONENT_COLUMNS: &[&str] = &[
    "component_code",
    "class_code",
    "subclass_code",
    "name",
    "grid_code",
    "longitude",
    "latitude",
    "owner_org",
    "state",
    "valid_from",
];

/// One row under checking.
struct Line<'a> {
    row: usize,
    cells: Vec<(&'static str, &'a str)>,
    problems: Vec<Problem>,
}

impl<'a> Line<'a> {
    fn cell(&self, column: &'static str) -> &'a str {
        self.cells.iter().find(|(name, _)| *name == column).map_or("", |(_, cell)| *cell)
    }

    fn wrong(&mut self, column: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { row: self.row, column, message: message.into() });
    }

    fn check(&mut self, column: &'static str, message: &str, good: impl FnOnce(&str) -> bool) -> String {
        let cell = self.cell(column);
        if !good(cell) {
            self.wrong(column, message);
        }
        cell.to_owned()
    }

    fn day(&mut self, column: &'static str) -> Option<NaiveDate> {
        let cell = self.cell(column);
        let day = NaiveDate::parse_from_str(cell, "%Y-%m-%d").ok();
        let day = day.filter(|day| cell.len() == 10 && (1990..2100).contains(&day.year()));
        if day.is_none() {
            self.wrong(column, "must be a day YYYY-MM-DD between 1990 and 2099");
        }
        day
    }

    fn name(&mut self) -> String {
        let message = "must have 1–60 characters";
        self.check("name", message, |text| {
            (1..=MOST_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        })
    }
}

fn is_code(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    (1..=64).contains(&text.len()) && text.chars().all(safe)
}

/// Grids of a list, and what is wrong with it.
///
/// # Errors
/// `Invalid { csv }` when it is no list of these columns at all, or too long.
pub fn grids(csv: &str) -> Result<(usize, Vec<GridRow>, Vec<Problem>)> {
    let mut seen = HashSet::new();
    read(csv, GRID_COLUMNS, |line| {
        let grid_code = line.check("grid_code", "must have 15 digits", is_grid_code);
        if !seen.insert(grid_code.clone()) {
            line.wrong("grid_code", "stands in the list twice");
        }
        let community_code = line.check("community_code", "must be the code of a community", is_code);
        let name = line.name();
        let valid_from = line.day("valid_from");
        let valid_to = if line.cell("valid_to").is_empty() { None } else { line.day("valid_to") };
        if let (Some(from), Some(to)) = (valid_from, valid_to)
            && to <= from
        {
            line.wrong("valid_to", "must lie after valid_from");
        }
        Some(GridRow { row: line.row, grid_code, community_code, name, valid_from: valid_from?, valid_to })
    })
}

/// Components of a list, and what is wrong with it.
///
/// # Errors
/// `Invalid { csv }` when it is no list of these columns at all, or too long.
pub fn components(csv: &str) -> Result<(usize, Vec<ComponentRow>, Vec<Problem>)> {
    let mut seen = HashSet::new();
    read(csv, COMPONENT_COLUMNS, |line| {
        let component_code = line.check("component_code", "must have 16 digits", is_component_code);
        if !seen.insert(component_code.clone()) {
            line.wrong("component_code", "stands in the list twice");
        }
        let class_code = line
            .check("class_code", "no such class", |class| classes().iter().any(|known| known.code == class));
        let subclass_code = line.check("subclass_code", "no such sub-class of the class", |code| {
            subclass(&class_code, code).is_some()
        });
        if is_component_code(&component_code)
            && !agrees_with_class(&component_code, &class_code, &subclass_code)
        {
            line.wrong("component_code", "its digits 7–10 are not class and sub-class");
        }
        let name = line.name();
        let grid_code = line.check("grid_code", "must have 15 digits", is_grid_code);
        let point = point(line);
        let owner_org = line.check("owner_org", "must be the code of an organisation", is_code);
        let state: Option<ComponentState> = line.cell("state").parse().ok();
        if state.is_none() {
            line.wrong("state", "must be in_use, damaged, missing or removed");
        }
        let valid_from = line.day("valid_from");
        Some(ComponentRow {
            row: line.row,
            component_code,
            class_code,
            subclass_code,
            name,
            grid_code,
            point,
            owner_org,
            state: state?,
            valid_from: valid_from?,
        })
    })
}

fn point(line: &mut Line<'_>) -> Option<(f64, f64)> {
    let (longitude, latitude) = (line.cell("longitude"), line.cell("latitude"));
    if longitude.is_empty() && latitude.is_empty() {
        return None;
    }
    if longitude.is_empty() || latitude.is_empty() {
        let missing = if longitude.is_empty() { "longitude" } else { "latitude" };
        line.wrong(missing, "both or neither");
        return None;
    }
    let number = |text: &str| text.parse::<f64>().ok();
    match (number(longitude), number(latitude)) {
        (Some(longitude), Some(latitude)) if is_point(longitude, latitude) => Some((longitude, latitude)),
        (Some(longitude), _) if is_point(longitude, 0.0) => {
            line.wrong("latitude", "must be degrees between -90 and 90");
            None
        }
        _ => {
            line.wrong("longitude", "must be degrees between -180 and 180");
            None
        }
    }
}

/// Reads a list of exactly these columns, in any order. A row with a problem makes nothing.
fn read<T>(
    csv: &str,
    columns: &'static [&'static str],
    mut make: impl FnMut(&mut Line<'_>) -> Option<T>,
) -> Result<(usize, Vec<T>, Vec<Problem>)> {
    if csv.len() > MOST_BYTES {
        return Err(Error::invalid("csv", "has at most 1 MiB"));
    }
    let text = csv.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let unreadable = |_| Error::invalid("csv", "is no CSV with a header");
    let header = reader.headers().map_err(unreadable)?.clone();
    let known: Vec<Option<&'static str>> =
        header.iter().map(|name| columns.iter().copied().find(|column| *column == name)).collect();
    let whole = columns.iter().all(|column| known.iter().filter(|name| **name == Some(*column)).count() == 1);
    if !whole || known.len() != columns.len() {
        return Err(Error::invalid("csv", format!("must have the columns {}", columns.join(", "))));
    }
    let (mut rows, mut made, mut problems) = (0, Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|_| Error::invalid("csv", "cannot be read to its end"))?;
        rows += 1;
        if rows > MOST_ROWS {
            return Err(Error::invalid("csv", format!("has at most {MOST_ROWS} rows")));
        }
        let row = record.position().map_or(rows + 1, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
        let cells = known.iter().zip(&record).filter_map(|(name, cell)| Some(((*name)?, cell))).collect();
        let mut line = Line { row, cells, problems: Vec::new() };
        if record.len() != columns.len() {
            line.wrong(columns[0], format!("the row has {} cells, not {}", record.len(), columns.len()));
        } else if let Some(thing) = make(&mut line).filter(|_| line.problems.is_empty()) {
            made.push(thing);
        }
        problems.append(&mut line.problems);
    }
    if rows == 0 {
        return Err(Error::invalid("csv", "has no row below its header"));
    }
    Ok((rows, made, problems))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRIDS: &str = "grid_code,community_code,name,valid_from,valid_to\n";
    const COMPONENTS: &str = "component_code,class_code,subclass_code,name,grid_code,longitude,latitude,owner_org,state,valid_from\n";
    const LAMP: &str = "4201030102000001,01,02,路灯甲,420103005001001,114.27,30.60,dept:urban_management,in_use,2026-01-01\n";

    #[test]
    fn the_shipped_classes_name_items_of_the_catalogue_that_patrols_find() {
        assert_eq!(classes().len(), 5);
        for subclass in classes().iter().flat_map(|class| &class.subclasses) {
            assert!(!subclass.items.is_empty());
            for code in &subclass.items {
                let item = crate::seed::catalogue().items.iter().find(|item| item.item_code == *code);
                let item = item.unwrap_or_else(|| panic!("{code} is no item"));
                assert!(crate::domain::patrol::is_of_field(item.nature), "{code}");
                assert!(item.channels.contains(&crate::domain::Channel::Patrol), "{code}");
            }
        }
    }

    #[test]
    fn a_list_is_read_in_any_order_of_its_columns() {
        let (rows, grids, problems) = grids(
            "\u{feff}name,valid_to,grid_code,valid_from,community_code\n甲格,,420103005001001,2026-01-01,420103005001\n",
        )
        .unwrap();
        assert_eq!((rows, problems), (1, vec![]));
        assert_eq!((grids[0].name.as_str(), grids[0].row, grids[0].valid_to), ("甲格", 2, None));
        let (_, components, problems) = components(&format!("{COMPONENTS}{LAMP}")).unwrap();
        assert_eq!(problems, []);
        assert_eq!((components[0].point, components[0].state), (Some((114.27, 30.6)), ComponentState::InUse));
    }

    #[test]
    fn what_is_no_list_names_the_field() {
        let rows = "x\n".repeat(3);
        for text in [
            String::new(),
            "a,b\n1,2\n".to_owned(),
            GRIDS.to_owned(),
            format!("{}{rows}", GRIDS.replace("name", "names")),
            format!("{},extra\n", GRIDS.trim()),
            "x".repeat(MOST_BYTES + 1),
            format!("{GRIDS}{}", "1,2,3,4,5\n".repeat(MOST_ROWS + 1)),
        ] {
            let error = grids(&text).unwrap_err();
            assert!(matches!(error, Error::Invalid { ref field, .. } if field == "csv"), "{error}");
        }
    }

    #[test]
    fn every_problem_names_its_row_and_column() {
        let bad = format!(
            "{COMPONENTS}{LAMP}{LAMP}\
             4201030102000002,09,02,路灯乙,420103005001001,,,dept:x,in_use,2026-01-01\n\
             4201030101000003,01,02,路灯丙,420103005001001,,,dept:x,in_use,2026-01-01\n\
             4201030102000004,01,02,,4201,114.2,,dept x,broken,2026-02-30\n\
             4201030102000005,01,02,路灯戊\n\
             4201030102000006,01,02,路灯己,420103005001001,200,30,dept:x,in_use,2026-01-01\n"
        );
        let (rows, made, problems) = components(&bad).unwrap();
        assert_eq!((rows, made.len()), (7, 1));
        let told: Vec<(usize, &str)> = problems.iter().map(|problem| (problem.row, problem.column)).collect();
        let wanted = [
            (3, "component_code"),
            (4, "class_code"),
            (4, "subclass_code"),
            (4, "component_code"),
            (5, "component_code"),
            (6, "name"),
            (6, "grid_code"),
            (6, "latitude"),
            (6, "owner_org"),
            (6, "state"),
            (6, "valid_from"),
            (7, "component_code"),
            (8, "longitude"),
        ];
        assert_eq!(told, wanted);
        // The value itself is never repeated.
        assert!(problems.iter().all(|problem| !problem.message.contains("broken")));
        let (_, made, problems) = grids(&format!(
            "{GRIDS}420103005001001,420103005001,甲格,2026-02-01,2026-01-01\n1,420103005001,乙格,2026-02-01,\n"
        ))
        .unwrap();
        assert_eq!(made, []);
        let told: Vec<(usize, &str)> = problems.iter().map(|problem| (problem.row, problem.column)).collect();
        assert_eq!(told, [(2, "valid_to"), (3, "grid_code")]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", rows in "[0-9,\"\\n\u{feff}a-z]{0,200}") {
            let _ = (grids(&text), components(&text));
            let _ = (grids(&format!("{GRIDS}{rows}")), components(&format!("{COMPONENTS}{rows}")));
        }
    }
}
