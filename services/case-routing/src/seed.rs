//! The shipped catalogue, responsibility list, limits and code lists: their form in the files and in the database, and
//! what the domain makes of them. Nothing here is law; a deployment replaces it with its own published lists.
//!
//! No key of a file goes unread. Forms that stand in files alone refuse others; items, entries and profiles stand in the
//! database too, where a replica of the release before has to read what this one wrote, so a test sees to their files.

mod limits;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use calendar::{Limit, TimeUnit};
use chassis::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::domain::{
    BenefitRule, Channel, Condition, Holder, ListPart, Nature, OrgId, OrgKind, PartnerRule,
    ResponsibilityEntry, ServiceItem, Silence, Stage, Urgency,
};

pub use self::limits::{Profile, profiles, supervision_answer, usual_hours, warn_percent, working_hours};

/// A limit as the files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedLimit {
    /// How many units.
    pub value: u16,
    /// Of which unit.
    pub unit: TimeUnit,
}

impl From<SeedLimit> for Limit {
    fn from(limit: SeedLimit) -> Self {
        Self::new(limit.unit, limit.value)
    }
}

/// A stage of the work on an item as the files write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are explained in the file")]
pub struct SeedStage {
    pub code: String,
    pub name_zh: String,
    pub name_en: String,
    pub limit: SeedLimit,
}

/// A catalogue item as the files write it; see `seed/catalogue.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are explained in the file")]
pub struct Item {
    pub item_code: String,
    pub version: u32,
    pub name_zh: String,
    pub name_en: String,
    pub category: String,
    pub subcategory: String,
    pub nature: Nature,
    pub lines: Vec<String>,
    #[serde(default)]
    pub department_item: bool,
    #[serde(default)]
    pub lead_line_unclear: bool,
    pub item_kind: String,
    pub urgency: Urgency,
    pub statutory_limit: Option<SeedLimit>,
    pub promised_limit: SeedLimit,
    #[serde(default)]
    pub stages: Vec<SeedStage>,
    pub sla_profile: String,
    pub self_solvable: bool,
    #[serde(default)]
    pub offer_chain: Vec<String>,
    #[serde(default)]
    pub emergency_channel: String,
    #[serde(default)]
    pub statutory_channel: String,
    pub accepts_anonymous: bool,
    pub public_safety: bool,
    pub silence_accepts: bool,
    #[serde(default)]
    pub public_notice_days: u16,
    #[serde(default)]
    pub field_checkers: u8,
    #[serde(default)]
    pub urgent_max_fen: i64,
    #[serde(default)]
    pub papers_days: u16,
    #[serde(default)]
    pub benefit_tag: String,
    #[serde(default)]
    pub review_months: u16,
    #[serde(default)]
    pub materials: Vec<String>,
    #[serde(default)]
    pub open_condition: String,
    #[serde(default)]
    pub close_condition: String,
    #[serde(default)]
    pub retention_days: u32,
    pub channels: Vec<Channel>,
    #[serde(default)]
    pub required_skills: Vec<String>,
}

/// A first-level category.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Prefix of its items' codes.
    pub prefix: String,
    /// Chinese name; what items carry as `category`.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// The item for what fits no other.
    pub default_item: String,
}

/// The shipped catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueFile {
    /// Version of the whole.
    pub catalogue_version: i32,
    /// In force from.
    pub valid_from: NaiveDate,
    /// The fifteen first-level categories.
    #[serde(rename = "category")]
    pub categories: Vec<Category>,
    /// The items.
    #[serde(rename = "item")]
    pub items: Vec<Item>,
}

/// An entry of the responsibility list as the files write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are explained in the file")]
pub struct Entry {
    pub rule_id: String,
    pub item_code: String,
    pub part: ListPart,
    #[serde(default)]
    pub org_kind: Option<OrgKind>,
    #[serde(default)]
    pub line: Option<String>,
    #[serde(default)]
    pub org: Option<String>,
    /// It applies only where this holds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "condition")]
    pub condition: Option<Condition>,
    pub basis_doc: String,
    pub mandatory: bool,
    #[serde(default)]
    pub authority_granted: bool,
    #[serde(default)]
    pub transfer_ref: Option<String>,
    /// The arbitration whose precedent it is; unset: the catalogue is its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precedent_id: Option<uuid::Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fund_line: Option<String>,
}

/// A condition; none where the text is empty.
fn condition<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Condition>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}

/// Who takes what nobody is competent for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Code of the organisation.
    pub org: String,
}

/// The shipped responsibility list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponsibilityFile {
    /// Version of the list.
    pub list_version: i32,
    /// In force from.
    pub valid_from: NaiveDate,
    /// The organisation of last resort.
    pub fallback: Fallback,
    /// The entries.
    #[serde(rename = "entry")]
    pub entries: Vec<Entry>,
}

/// A code of a list, with what it implies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// What is stored.
    pub code: String,
    /// What it means, in Chinese.
    pub zh: String,
    /// What it means, in English.
    pub en: String,
    /// For suspensions: days at most, at a time and, unless the level above approves more, of a case in all.
    #[serde(default)]
    pub max_days: u32,
    /// For suspensions: the law does not count the period, so that it stops the limit of an application too.
    #[serde(default)]
    pub not_counted: bool,
    /// For refusals: `case`, `task`, `offer`; of applications: `not_accepted`, `denied`.
    #[serde(default)]
    pub applies_to: Vec<String>,
    /// For refusals of a case: the legal channel that the requester is told.
    #[serde(default)]
    pub told_channel: String,
    /// For objections.
    #[serde(default)]
    pub needs_evidence: bool,
    /// For objections.
    #[serde(default)]
    pub needs_suggested_org: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodesFile {
    #[serde(rename = "code")]
    codes: Vec<Code>,
}

/// Parses a file that is part of the program; its tests read every one.
fn shipped<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> T {
    toml::from_str(text).unwrap_or_else(|error| panic!("the shipped {name} is broken: {error}"))
}

fn code_list(name: &str, text: &str) -> BTreeMap<String, Code> {
    let file: CodesFile = shipped(name, text);
    file.codes.into_iter().map(|code| (code.code.clone(), code)).collect()
}

/// The shipped catalogue: items and categories.
pub fn catalogue() -> &'static CatalogueFile {
    static FILE: LazyLock<CatalogueFile> =
        LazyLock::new(|| shipped("catalogue", include_str!("../seed/catalogue.toml")));
    &FILE
}

/// The shipped responsibility list.
pub fn responsibility() -> &'static ResponsibilityFile {
    static FILE: LazyLock<ResponsibilityFile> =
        LazyLock::new(|| shipped("responsibility list", include_str!("../seed/responsibility.toml")));
    &FILE
}

/// Grounds of an objection, by code.
pub fn objection_grounds() -> &'static BTreeMap<String, Code> {
    static CODES: LazyLock<BTreeMap<String, Code>> =
        LazyLock::new(|| code_list("grounds", include_str!("../seed/objection_grounds.toml")));
    &CODES
}

/// Reasons of a refusal, by code.
pub fn decline_reasons() -> &'static BTreeMap<String, Code> {
    static CODES: LazyLock<BTreeMap<String, Code>> =
        LazyLock::new(|| code_list("reasons", include_str!("../seed/decline_reasons.toml")));
    &CODES
}

/// Reasons for which an application is refused, by code.
pub fn refusal_reasons() -> &'static BTreeMap<String, Code> {
    static CODES: LazyLock<BTreeMap<String, Code>> =
        LazyLock::new(|| code_list("refusals", include_str!("../seed/refusal_reasons.toml")));
    &CODES
}

/// Causes of a suspension, by code.
pub fn suspend_causes() -> &'static BTreeMap<String, Code> {
    static CODES: LazyLock<BTreeMap<String, Code>> =
        LazyLock::new(|| code_list("causes", include_str!("../seed/suspend_causes.toml")));
    &CODES
}

/// Longest time of a suspension in days, by its cause.
pub fn suspension_days() -> BTreeMap<String, u32> {
    suspend_causes().values().map(|code| (code.code.clone(), code.max_days)).collect()
}

/// What a code of one of the lists means, in Chinese and in English. Where several have it, the first says so.
pub fn meaning(code: &str) -> Option<(&'static str, &'static str)> {
    let lists = [decline_reasons(), refusal_reasons(), objection_grounds(), suspend_causes()];
    let found = lists.into_iter().find_map(|list| list.get(code));
    found.map(|code| (code.zh.as_str(), code.en.as_str()))
}

impl Item {
    /// As the domain has it. Organisations that the topology does not know are left out of the chain; an item
    /// without a chain is not offered.
    pub fn service_item(&self, orgs: &HashMap<&str, OrgId>) -> ServiceItem {
        let step = |text: &String| match text.strip_prefix("kind:") {
            Some(kind) => kind.parse().ok().map(PartnerRule::Kind),
            None => orgs.get(text.as_str()).copied().map(PartnerRule::Org),
        };
        let society_chain: Vec<PartnerRule> = self.offer_chain.iter().filter_map(step).collect();
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        ServiceItem {
            code: self.item_code.clone(),
            version: self.version,
            name_zh: self.name_zh.clone(),
            name_en: self.name_en.clone(),
            category: self.category.clone(),
            nature: self.nature,
            lines: self.lines.clone(),
            lead_line_unclear: self.lead_line_unclear,
            statutory_limit: self.statutory_limit.map(Into::into),
            promised_limit: self.promised_limit.into(),
            self_solvable: self.self_solvable && !society_chain.is_empty(),
            society_chain,
            skill_codes: self.required_skills.clone(),
            emergency_line: some(&self.emergency_channel),
            statutory_channel: some(&self.statutory_channel),
            department_item: self.department_item,
            silence: if self.silence_accepts { Silence::Accepted } else { Silence::Withdrawn },
            withdrawal_barred: self.public_safety,
            sla_profile: some(&self.sla_profile),
            urgency: self.urgency,
            retention_days: Some(self.retention_days).filter(|days| *days > 0),
            application: crate::domain::ApplicationRules {
                public_notice_days: self.public_notice_days,
                field_checkers: self.field_checkers,
                urgent_max_fen: self.urgent_max_fen,
                papers_days: self.papers_days,
            },
            benefit: some(&self.benefit_tag)
                .map(|tag_code| BenefitRule { tag_code, review_months: self.review_months })
                .filter(|rule| rule.review_months > 0),
            stages: self.stages.iter().map(SeedStage::stage).collect(),
            // Known beside the item; see `editions`.
            valid_from: Timestamp::MIN_UTC,
            valid_to: None,
        }
    }
}

impl SeedStage {
    /// As the domain has it.
    pub fn stage(&self) -> Stage {
        Stage {
            code: self.code.clone(),
            name_zh: self.name_zh.clone(),
            name_en: self.name_en.clone(),
            limit: self.limit.into(),
        }
    }
}

impl Entry {
    /// As the domain has it; `None` when it names an organisation that the topology does not know.
    pub fn responsibility(
        &self,
        orgs: &HashMap<&str, OrgId>,
        valid_from: Timestamp,
        valid_to: Option<Timestamp>,
    ) -> Option<ResponsibilityEntry> {
        let holder = match (&self.org, self.org_kind) {
            (Some(code), _) if !code.is_empty() => Holder::Org(*orgs.get(code.as_str())?),
            (_, Some(kind)) => Holder::Kind { kind, line: self.line.clone().filter(|line| !line.is_empty()) },
            _ => return None,
        };
        Some(ResponsibilityEntry {
            rule_id: self.rule_id.clone(),
            item_code: self.item_code.clone(),
            holder,
            part: self.part,
            mandatory: self.mandatory,
            transfer_ref: self.transfer_ref.clone(),
            basis_doc: self.basis_doc.clone(),
            condition: self.condition.clone().map(Box::new),
            valid_from,
            valid_to,
        })
    }
}

#[cfg(test)]
mod tests;
