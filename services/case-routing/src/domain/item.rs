//! Catalogue items and the entries of the responsibility lists (domain.md §2.2.1).

use calendar::{Calendar, Limit, Profile};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::benefit::BenefitRule;
use super::codes::{ListPart, Nature, OrgKind, Silence, Urgency};
use super::condition::Condition;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::OrgId;
use super::stages::{MOST_STAGES, Stage};
use super::work::check_code;

/// A matter of the catalogue (事项), one version of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceItem {
    pub code: String,
    pub version: u32,
    pub name_zh: String,
    pub name_en: String,
    /// First-level category.
    pub category: String,
    pub nature: Nature,
    /// Department lines concerned; the first one owns the item. More than one makes it cross-line.
    pub lines: Vec<String>,
    /// Several lines and no agreed owner: the first receiver leads (首接负责).
    #[serde(default)]
    pub lead_line_unclear: bool,
    /// 法定时限
    pub statutory_limit: Option<Limit>,
    /// 承诺时限; never longer than the statutory one (C-2).
    pub promised_limit: Limit,
    /// Society can solve it: offered first, if the requester agrees.
    #[serde(default)]
    pub self_solvable: bool,
    /// Partners in the order they are asked.
    #[serde(default)]
    pub society_chain: Vec<PartnerRule>,
    #[serde(default)]
    pub skill_codes: Vec<String>,
    /// 110, 119, 120, 122 …: handed over at once.
    #[serde(default)]
    pub emergency_line: Option<String>,
    /// Litigation, petition, review …: the requester is told the channel.
    #[serde(default)]
    pub statutory_channel: Option<String>,
    /// A department's own matter: not for communities or streets without admission or transfer.
    #[serde(default)]
    pub department_item: bool,
    #[serde(default = "withdrawn")]
    pub silence: Silence,
    /// Public safety or third-party rights: the requester cannot withdraw it.
    #[serde(default)]
    pub withdrawal_barred: bool,
    /// The profile of limits in [`super::Rules::sla`].
    #[serde(default)]
    pub sla_profile: Option<String>,
    /// A case of this item is at least that urgent.
    #[serde(default = "normal")]
    pub urgency: Urgency,
    /// Calendar days between closing and archiving; the cell's rule where unset.
    #[serde(default)]
    pub retention_days: Option<u32>,
    /// For items of the nature application.
    #[serde(default)]
    pub application: ApplicationRules,
    /// Of an application that grants something for longer.
    #[serde(default)]
    pub benefit: Option<BenefitRule>,
    /// Stages of the work, in order; most items have none.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// New cases can be of this version from here on, unless a newer one is in force …
    pub valid_from: Timestamp,
    /// … and until before here; the version was taken back, or the item ends.
    #[serde(default)]
    pub valid_to: Option<Timestamp>,
}

/// What an item asks of its applications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRules {
    /// Calendar days of the public notice before it is granted; 0: none.
    pub public_notice_days: u16,
    /// How many people make a field check together; 0: none need be made.
    pub field_checkers: u8,
    /// Up to this sum, in fen, the street decides an urgent application at once; 0: it does not.
    pub urgent_max_fen: i64,
    /// Working days after an urgent grant in which its papers are due.
    pub papers_days: u16,
}

const fn normal() -> Urgency {
    Urgency::Normal
}

const fn withdrawn() -> Silence {
    Silence::Withdrawn
}

impl ServiceItem {
    /// The line that owns the item.
    #[must_use]
    pub fn line(&self) -> Option<&str> {
        self.lines.first().map(String::as_str)
    }

    /// Checks what the type does not: a code, a line, limits of which the promised one never ends later
    /// than the statutory one (tried from each of 60 days of a year, so that whoever writes the catalogue hears of it early;
    /// on the other days each case's own clock keeps to the law).
    ///
    /// # Errors
    /// [`DomainError::Invalid`] naming the field.
    pub fn validate(&self, calendar: &Calendar, profile: &Profile, from: Timestamp) -> Result<()> {
        if self.code.is_empty() || self.category.is_empty() {
            return Err(DomainError::invalid("code", "an item has a code and a category"));
        }
        if self.lines.iter().any(String::is_empty) || self.lines.is_empty() {
            return Err(DomainError::invalid("lines", "an item belongs to at least one line"));
        }
        if self.promised_limit.n == 0 {
            return Err(DomainError::invalid("promised_limit", "must be positive"));
        }
        if self.self_solvable && self.society_chain.is_empty() {
            return Err(DomainError::invalid(
                "society_chain",
                "a self-solvable item names kinds of partners",
            ));
        }
        self.validate_stages()?;
        let starts = || (0..60).map(|step| from + TimeDelta::days(6 * step));
        let due = |limit: Limit, start| calendar.add(limit.unit, limit.n, start, profile).at;
        let all = |start| self.stages.iter().fold(start, |begun, stage| due(stage.limit, begun));
        if !self.stages.is_empty() && starts().any(|start| all(start) > due(self.promised_limit, start)) {
            let message = "together must not take longer than the promised limit";
            return Err(DomainError::invalid("stages", message));
        }
        if let Some(statutory) = self.statutory_limit
            && starts().any(|start| due(self.promised_limit, start) > due(statutory, start))
        {
            let message = "must not be longer than the statutory limit";
            return Err(DomainError::invalid("promised_limit", message));
        }
        Ok(())
    }
}

impl ServiceItem {
    /// Whether new cases can be of this version at an instant, as far as it alone is concerned.
    #[must_use]
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|to| at < to)
    }

    fn validate_stages(&self) -> Result<()> {
        let invalid = |message: &str| Err(DomainError::invalid("stages", message));
        if self.stages.is_empty() {
            return Ok(());
        }
        if self.stages.len() > MOST_STAGES {
            return invalid("an item has at most 12 stages");
        }
        // An application has states of its own, the parties of a dispute decide themselves, a partner is never ordered; and
        // on what goes elsewhere nobody works.
        let elsewhere = self.emergency_line.is_some() || self.statutory_channel.is_some();
        if self.self_solvable || elsewhere || matches!(self.nature, Nature::Application | Nature::Dispute) {
            return invalid("only work that organisations are ordered to do has stages");
        }
        for (number, stage) in self.stages.iter().enumerate() {
            check_code("stages", &stage.code)?;
            if stage.name_zh.is_empty() || stage.limit.n == 0 {
                return invalid("a stage has a name and a positive limit");
            }
            if self.stages[..number].iter().any(|known| known.code == stage.code) {
                return invalid("a stage stands here twice");
            }
        }
        Ok(())
    }
}

/// Whom to ask at a step of an item's chain: only organisations above the place are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartnerRule {
    /// Every organisation of the kind, the deepest first.
    Kind(OrgKind),
    Org(OrgId),
}

/// Who an entry of a list means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// One organisation.
    Org(OrgId),
    /// Every organisation of the kind (and line, if given).
    Kind { kind: OrgKind, line: Option<String> },
}

/// An entry of a responsibility list: who has which part in an item, on what basis, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponsibilityEntry {
    /// The rule id that explanations cite.
    pub rule_id: String,
    pub item_code: String,
    pub holder: Holder,
    pub part: ListPart,
    /// An assist without which the case cannot be completed.
    pub mandatory: bool,
    /// The admission or effective duty transfer that brought a department's item here.
    pub transfer_ref: Option<String>,
    pub basis_doc: String,
    /// It applies only where this holds.
    pub condition: Option<Box<Condition>>,
    pub valid_from: Timestamp,
    pub valid_to: Option<Timestamp>,
}

impl ResponsibilityEntry {
    /// Whether the entry is in force at an instant.
    #[must_use]
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|to| at < to)
    }
}
