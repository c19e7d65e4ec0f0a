//! The shipped catalogue, responsibility list, limits and code lists: their form in the files and in the database, and
//! what the domain makes of them. Nothing here is law; a deployment replaces it with its own published lists.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use calendar::{Limit, TimeUnit};
use chassis::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::domain::{
    Channel, Condition, Holder, ListPart, Nature, OrgId, OrgKind, PartnerRule, ResponsibilityEntry,
    ServiceItem, Silence, SlaProfile, Stage, Urgency,
};

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
    pub materials: Vec<String>,
    #[serde(default)]
    pub open_condition: String,
    #[serde(default)]
    pub close_condition: String,
    pub channels: Vec<Channel>,
    #[serde(default)]
    pub required_skills: Vec<String>,
}

/// A first-level category.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
pub struct Fallback {
    /// Code of the organisation.
    pub org: String,
}

/// The shipped responsibility list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

/// The limits of a class of items as the files write them; see `seed/sla_profiles.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are explained in the file")]
pub struct Profile {
    pub code: String,
    pub accept: SeedLimit,
    pub supplement: SeedLimit,
    pub dispatch: SeedLimit,
    pub offer: SeedLimit,
    pub sign: SeedLimit,
    pub objection: SeedLimit,
    pub contact: SeedLimit,
    pub rework: SeedLimit,
    pub assist: SeedLimit,
    pub verify: SeedLimit,
    pub rating_window: SeedLimit,
    pub max_extensions: u32,
    pub callback_attempts: u8,
    pub callback_gap: SeedLimit,
    pub reopen_days: u16,
}

/// Working hours as the files write them: each window is its opening and closing time, `HH:MM`.
#[derive(Debug, Deserialize)]
struct Hours {
    windows: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct ProfilesFile {
    working_hours: BTreeMap<String, Hours>,
    #[serde(rename = "profile")]
    profiles: Vec<Profile>,
}

/// A code of a list, with what it implies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Code {
    /// What is stored.
    pub code: String,
    /// For suspensions: days at most.
    #[serde(default)]
    pub max_days: u32,
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

fn profiles_file() -> &'static ProfilesFile {
    static FILE: LazyLock<ProfilesFile> =
        LazyLock::new(|| shipped("limits", include_str!("../seed/sla_profiles.toml")));
    &FILE
}

/// The shipped limits.
pub fn profiles() -> &'static [Profile] {
    &profiles_file().profiles
}

/// The shipped working hours, by code.
pub fn working_hours() -> &'static BTreeMap<String, calendar::Profile> {
    static HOURS: LazyLock<BTreeMap<String, calendar::Profile>> = LazyLock::new(|| {
        profiles_file()
            .working_hours
            .iter()
            .map(|(code, hours)| (code.clone(), hours.profile(code)))
            .collect()
    });
    &HOURS
}

impl Hours {
    /// The same hours all year.
    fn profile(&self, code: &str) -> calendar::Profile {
        let time = |text: &str| {
            let time = chrono::NaiveTime::parse_from_str(text, "%H:%M");
            time.unwrap_or_else(|error| {
                panic!("the shipped working hours {code} are broken: {text:?}: {error}")
            })
        };
        let spans = self.windows.iter().map(|(open, close)| (time(open), time(close))).collect();
        let year = calendar::Season { from: (1, 1), spans };
        calendar::Profile::new(1, vec![year])
            .unwrap_or_else(|error| panic!("the shipped working hours {code} are broken: {error}"))
    }
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

/// Causes of a suspension and their longest time in days.
pub fn suspension_causes() -> BTreeMap<String, u32> {
    code_list("causes", include_str!("../seed/suspend_causes.toml"))
        .into_values()
        .map(|code| (code.code, code.max_days))
        .collect()
}

impl Profile {
    /// As the domain has it.
    pub fn limits(&self) -> SlaProfile {
        SlaProfile {
            accept: self.accept.into(),
            supplement: self.supplement.into(),
            dispatch: self.dispatch.into(),
            offer: self.offer.into(),
            sign: self.sign.into(),
            objection: self.objection.into(),
            contact: self.contact.into(),
            rework: self.rework.into(),
            assist: self.assist.into(),
            verify: self.verify.into(),
            rating_window: self.rating_window.into(),
            max_extensions: self.max_extensions,
            callback_attempts: self.callback_attempts,
            callback_gap: self.callback_gap.into(),
            reopen_days: self.reopen_days,
        }
    }
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
            retention_days: None,
            application: crate::domain::ApplicationRules {
                public_notice_days: self.public_notice_days,
                field_checkers: self.field_checkers,
                urgent_max_fen: self.urgent_max_fen,
                papers_days: self.papers_days,
            },
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
mod tests {
    use super::*;

    #[test]
    fn the_shipped_lists_belong_together() {
        let items: BTreeMap<&str, &Item> =
            catalogue().items.iter().map(|item| (item.item_code.as_str(), item)).collect();
        assert!(items.len() >= 150 && catalogue().categories.len() == 15);
        for category in &catalogue().categories {
            assert!(items[category.default_item.as_str()].category == category.name_zh);
        }
        let profiles: Vec<&str> = profiles().iter().map(|profile| profile.code.as_str()).collect();
        for item in items.values() {
            assert!(profiles.contains(&item.sla_profile.as_str()), "{}", item.item_code);
            assert!(!item.self_solvable || !item.offer_chain.is_empty(), "{}", item.item_code);
            let known = |step: &&String| {
                step.strip_prefix("kind:").is_none_or(|kind| kind.parse::<OrgKind>().is_ok())
            };
            assert!(item.offer_chain.iter().all(|step| known(&step)), "{}", item.item_code);
        }
        for entry in &responsibility().entries {
            assert!(items.contains_key(entry.item_code.as_str()), "{}", entry.rule_id);
            assert!(entry.org.is_some() || entry.org_kind.is_some(), "{}", entry.rule_id);
        }
        assert!(suspension_causes().values().all(|days| *days > 0));
        assert!(!objection_grounds().is_empty());
        assert!(
            decline_reasons()
                .values()
                .all(|r| !r.applies_to.contains(&"case".to_owned()) || !r.told_channel.is_empty())
        );
    }

    #[test]
    fn the_shipped_working_hours_are_those_that_clocks_run_by() {
        assert_eq!(working_hours()["default"], crate::domain::Rules::default().profile);
    }

    #[test]
    fn every_item_keeps_what_the_domain_asks_of_it() {
        let rules = crate::domain::Rules::default();
        let from = calendar::instant(NaiveDate::from_ymd_opt(2026, 1, 4).unwrap(), chrono::NaiveTime::MIN);
        for item in &catalogue().items {
            let checked = item.service_item(&HashMap::new()).validate(&rules.calendar, &rules.profile, from);
            assert_eq!(checked, Ok(()), "{}", item.item_code);
        }
    }

    /// A district with every department that the catalogue names, and one street, community, station, committee.
    fn district() -> crate::domain::TableParts {
        use crate::domain::{Edge, EdgeKind, OrgNode, TableParts, UnitId, UnitKind, UnitNode};
        let day = |day: NaiveDate| calendar::instant(day, chrono::NaiveTime::MIN);
        let from = day(responsibility().valid_from);
        let id = |n: usize| uuid::Uuid::from_u128(n as u128 + 1);
        let units: Vec<UnitId> = (0..3).map(|n| UnitId(id(n))).collect();
        let kinds = [UnitKind::District, UnitKind::Street, UnitKind::Community];
        let mut orgs: Vec<(OrgKind, usize, Option<&str>)> = vec![
            (OrgKind::Government, 0, None),
            (OrgKind::StreetOffice, 1, None),
            (OrgKind::ServiceStation, 2, None),
            (OrgKind::Committee, 2, None),
        ];
        let named = catalogue().items.iter().flat_map(|item| item.lines.iter().map(String::as_str));
        let listed = responsibility().entries.iter().filter_map(|entry| entry.line.as_deref());
        let lines: std::collections::BTreeSet<&str> = named.chain(listed).collect();
        orgs.extend(lines.iter().map(|line| (OrgKind::Department, 0, Some(*line))));
        let org = |n: usize| OrgId(id(100 + n));
        let edge = |from_org, to: usize, kind| Edge {
            from: org(from_org),
            to: org(to),
            kind,
            line: None,
            valid_from: from,
            valid_to: None,
        };
        let mut edges = vec![edge(1, 2, EdgeKind::Leads), edge(1, 3, EdgeKind::Guides)];
        edges.extend((1..orgs.len()).filter(|n| !(2..4).contains(n)).map(|n| edge(0, n, EdgeKind::Leads)));
        let unit = |n: usize| UnitNode { id: units[n], kind: kinds[n], path: units[..=n].into() };
        let node = |(n, (kind, unit, line)): (usize, &(OrgKind, usize, Option<&str>))| OrgNode {
            id: org(n),
            kind: *kind,
            unit: units[*unit],
            line: line.map(str::to_owned),
            valid_from: from,
            valid_to: None,
        };
        let entries = responsibility().entries.iter();
        TableParts {
            version: "1".to_owned(),
            topology_version: 1,
            items: catalogue().items.iter().map(|item| item.service_item(&HashMap::new())).collect(),
            entries: entries.filter_map(|entry| entry.responsibility(&HashMap::new(), from, None)).collect(),
            units: (0..3).map(unit).collect(),
            orgs: orgs.iter().enumerate().map(node).collect(),
            edges,
            joint_body: None,
            hours: None,
            fallback: Some(org(0)),
            verifiers: Vec::new(),
        }
    }

    #[test]
    fn every_shipped_item_finds_its_way_without_a_human() {
        use crate::domain::{RouteQuery, RoutingKind, RoutingTable, Urgency};
        let parts = district();
        let place: Vec<_> = parts.units.iter().map(|unit| unit.id).collect();
        let (receiver, at) = (parts.orgs[2].id, parts.orgs[0].valid_from);
        let table = RoutingTable::new(parts);
        let rules = crate::domain::Rules::default();
        for item in &catalogue().items {
            let query = RouteQuery {
                item: table.item(&item.item_code, at).map(std::convert::AsRef::as_ref),
                place: &place,
                urgency: Urgency::Normal,
                first_receiver: receiver,
                complained_of: None,
                excluded: &[],
                may_offer: false,
                tried: &[],
                facts: crate::domain::Facts::unknown(),
                kept: None,
                at,
            };
            let outcome = table.route(&query).held_to(rules.min_confidence);
            assert_ne!(outcome.kind, RoutingKind::Proposed, "{}: {:?}", item.item_code, outcome.reasons);
        }
    }
}
