//! The seed files as they are written, compiled in. Reading checks their form; what they mean is in `seed.rs`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use chassis::{Timestamp, auth::Role};
use chrono::{NaiveDate, NaiveTime};
use serde::Deserialize;

use crate::domain::{edge::EdgeKind, organization::OrganizationKind, unit::UnitKind};

const UNITS: &str = include_str!("../../seed/units.csv");
const ORGANIZATIONS: &str = include_str!("../../seed/organizations.toml");
const EDGES: &str = include_str!("../../seed/edges.toml");
const ACCOUNTS: &str = include_str!("../../seed/accounts.toml");

/// Everything that is seeded.
pub struct Files {
    /// Units, parents before children.
    pub units: Vec<UnitLine>,
    /// Organisations by name and by template.
    pub organizations: Organizations,
    /// Authority edges by rule.
    pub edges: Edges,
    /// People with logins, by rule.
    pub accounts: Accounts,
}

/// A line of `units.csv`.
#[derive(Debug, Deserialize)]
pub struct UnitLine {
    pub code: String,
    kind: String,
    pub class: String,
    pub name: String,
    pub parent_code: String,
    pub name_en: String,
    pub code_system: String,
    pub code_year: i32,
    valid_from: NaiveDate,
}

#[derive(Debug, Deserialize)]
pub struct Organizations {
    valid_from: NaiveDate,
    pub organization: Vec<OrganizationEntry>,
    pub template: Vec<OrganizationTemplate>,
}

#[derive(Debug, Deserialize)]
pub struct OrganizationEntry {
    pub code: String,
    kind: String,
    pub unit_code: String,
    pub name_zh: String,
    pub name_en: String,
    pub line: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct OrganizationTemplate {
    pub code: String,
    kind: String,
    unit_kind: String,
    pub unit_class: Option<String>,
    pub name_zh: String,
    pub name_en: String,
}

#[derive(Debug, Deserialize)]
pub struct Edges {
    valid_from: NaiveDate,
    pub rule: Vec<EdgeRule>,
}

#[derive(Debug, Deserialize)]
pub struct EdgeRule {
    pub code: String,
    kind: String,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub within: Within,
    /// Not empty: the senders act through another organisation, and no edge is stored.
    pub via: String,
}

/// How the units of two organisations must lie for a rule to join them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// Anyhow.
    Any,
    /// At the same unit.
    SameUnit,
    /// The receiver's unit is the sender's or lies below it.
    ToBelowFrom,
}

#[derive(Debug, Deserialize)]
pub struct Accounts {
    pub seed: u64,
    pub names: Names,
    pub phones: Phones,
    pub account: Vec<AccountRule>,
}

#[derive(Debug, Deserialize)]
pub struct Names {
    pub surnames: Vec<String>,
    pub given: Vec<String>,
    pub given_length: Vec<usize>,
    pub suffix: String,
}

#[derive(Debug, Deserialize)]
pub struct Phones {
    pub prefix: String,
    pub digits: usize,
}

#[derive(Debug, Deserialize)]
pub struct AccountRule {
    pub role: String,
    pub per: String,
    pub count: u32,
    pub login: String,
    pub org: String,
    pub scope: AccountScope,
    pub line: String,
    /// All that the grant is for; unset: every purpose of the role.
    pub purposes: Option<BTreeSet<String>>,
}

/// Over which unit an account's grant reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountScope {
    /// The unit of the rule.
    Unit,
    /// The district.
    District,
    /// Only what is one's own; the grant sits at the home.
    #[serde(rename = "self")]
    Own,
}

impl Files {
    /// Reads the files compiled in.
    ///
    /// # Errors
    /// When a file does not have its form, naming the file.
    pub fn load() -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(UNITS.as_bytes());
        let units = reader.deserialize().collect::<Result<Vec<UnitLine>, _>>().context("units.csv")?;
        ensure!(!units.is_empty(), "units.csv is empty");
        Ok(Self {
            units,
            organizations: toml::from_str(ORGANIZATIONS).context("organizations.toml")?,
            edges: toml::from_str(EDGES).context("edges.toml")?,
            accounts: toml::from_str(ACCOUNTS).context("accounts.toml")?,
        })
    }
}

impl UnitLine {
    /// Level.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn kind(&self) -> Result<UnitKind> {
        unit_kind(&self.kind)
    }

    /// In force from.
    pub fn valid_from(&self) -> Timestamp {
        midnight(self.valid_from)
    }
}

impl Organizations {
    /// In force from.
    pub fn valid_from(&self) -> Timestamp {
        midnight(self.valid_from)
    }
}

impl OrganizationEntry {
    /// Kind.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn kind(&self) -> Result<OrganizationKind> {
        organization_kind(&self.kind)
    }
}

impl OrganizationTemplate {
    /// Kind.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn kind(&self) -> Result<OrganizationKind> {
        organization_kind(&self.kind)
    }

    /// Kind of the units that get one.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn unit_kind(&self) -> Result<UnitKind> {
        unit_kind(&self.unit_kind)
    }
}

impl Edges {
    /// In force from.
    pub fn valid_from(&self) -> Timestamp {
        midnight(self.valid_from)
    }
}

impl EdgeRule {
    /// Kind.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn kind(&self) -> Result<EdgeKind> {
        let name = format!("EDGE_KIND_{}", self.kind.to_uppercase());
        EdgeKind::from_str_name(&name).with_context(|| format!("{} is no kind of edge", self.kind))
    }
}

impl AccountRule {
    /// Role.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn role(&self) -> Result<Role> {
        let name = format!("ROLE_{}", self.role.to_uppercase());
        Role::from_str_name(&name).with_context(|| format!("{} is no role", self.role))
    }
}

/// Kind of an organisation by its lower-case name.
///
/// # Errors
/// When there is no such kind.
pub fn organization_kind(text: &str) -> Result<OrganizationKind> {
    let name = format!("ORGANIZATION_KIND_{}", text.to_uppercase());
    OrganizationKind::from_str_name(&name).with_context(|| format!("{text} is no kind of organisation"))
}

fn unit_kind(text: &str) -> Result<UnitKind> {
    let name = format!("UNIT_KIND_{}", text.to_uppercase());
    UnitKind::from_str_name(&name).with_context(|| format!("{text} is no kind of unit"))
}

/// The beginning of a day in Wuhan (UTC+8, without summer time since 1991).
fn midnight(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc() - chrono::TimeDelta::hours(8)
}
