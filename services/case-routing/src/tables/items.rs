//! The catalogue as a table: one row per item.

use std::collections::{BTreeMap, HashMap};

use calendar::Limit;
use chassis::Timestamp;

use super::{
    Table,
    fields::{Cells, Column, Columns, flag_text, is_code, limit, limit_text},
    problem::Problems,
};
use crate::{
    domain::{Channel, DomainError, MOST_STAGES, Nature, OrgId, OrgKind, Rules, Urgency},
    seed::{self, Item, SeedLimit, SeedStage},
};

const COLUMNS: &[Column] = &[
    Column("item_code", "事项编码", true),
    Column("name_zh", "事项名称", true),
    Column("name_en", "英文名称", true),
    Column("category", "一级类别", true),
    Column("subcategory", "二级类别", false),
    Column("nature", "性质", true),
    Column("lines", "条线", true),
    Column("department_item", "部门事项", false),
    Column("lead_line_unclear", "主办条线不明", false),
    Column("item_kind", "事项类型", true),
    Column("urgency", "紧急程度", false),
    Column("statutory_limit", "法定时限", false),
    Column("promised_limit", "承诺时限", true),
    Column("stages", "分段时限", false),
    Column("sla_profile", "时限方案", true),
    Column("self_solvable", "可协商自治", false),
    Column("offer_chain", "邀请次序", false),
    Column("emergency_channel", "紧急专线", false),
    Column("statutory_channel", "法定途径", false),
    Column("accepts_anonymous", "可匿名", false),
    Column("public_safety", "公共安全", false),
    Column("silence_accepts", "逾期视为受理", false),
    Column("public_notice_days", "公示天数", false),
    Column("field_checkers", "入户核查人数", false),
    Column("urgent_max_fen", "先行救助上限（分）", false),
    Column("papers_days", "补件工作日", false),
    Column("benefit_tag", "待遇标签", false),
    Column("review_months", "复核周期（月）", false),
    Column("materials", "申请材料", false),
    Column("open_condition", "立案条件", false),
    Column("close_condition", "结案条件", false),
    Column("retention_days", "归档前保存天数", false),
    Column("channels", "受理渠道", true),
    Column("required_skills", "所需技能", false),
];

const ITEM_KINDS: [&str; 16] = [
    "advice",
    "public_service",
    "enforcement",
    "public_facility",
    "public_order",
    "mediation",
    "self_governance",
    "mutual_help",
    "permit",
    "confirmation",
    "benefit",
    "ruling",
    "filing",
    "reward",
    "levy",
    "other",
];

/// What items are checked against.
pub struct ItemContext<'a> {
    /// Whether there are limits of a name.
    pub profile: &'a dyn Fn(&str) -> bool,
    /// Organisations by code.
    pub orgs: &'a HashMap<&'a str, OrgId>,
    /// Working days and hours.
    pub rules: &'a Rules,
    /// From when limits are tried.
    pub at: Timestamp,
}

fn named<T: Copy>(all: &'static [T], name: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|one| (name(*one), *one)).collect()
}

/// Names of the columns.
pub fn item_header(english: bool) -> Vec<&'static str> {
    COLUMNS.iter().map(|Column(code, zh, _)| if english { *code } else { *zh }).collect()
}

/// An item as a row.
pub fn item_cells(item: &Item, english: bool) -> Vec<String> {
    let flag = |flag: bool| flag_text(flag, english);
    let some = |number: i64| if number == 0 { String::new() } else { number.to_string() };
    let stage = |stage: &SeedStage| {
        format!("{}|{}|{}|{}", stage.code, stage.name_zh, stage.name_en, limit_text(stage.limit))
    };
    let channels: Vec<&str> = item.channels.iter().map(|channel| channel.as_str()).collect();
    let stages: Vec<String> = item.stages.iter().map(stage).collect();
    vec![
        item.item_code.clone(),
        item.name_zh.clone(),
        item.name_en.clone(),
        item.category.clone(),
        item.subcategory.clone(),
        item.nature.to_string(),
        item.lines.join("; "),
        flag(item.department_item),
        flag(item.lead_line_unclear),
        item.item_kind.clone(),
        item.urgency.to_string(),
        item.statutory_limit.map(limit_text).unwrap_or_default(),
        limit_text(item.promised_limit),
        stages.join("; "),
        item.sla_profile.clone(),
        flag(item.self_solvable),
        item.offer_chain.join("; "),
        item.emergency_channel.clone(),
        item.statutory_channel.clone(),
        flag(item.accepts_anonymous),
        flag(item.public_safety),
        flag(item.silence_accepts),
        some(item.public_notice_days.into()),
        some(item.field_checkers.into()),
        some(item.urgent_max_fen),
        some(item.papers_days.into()),
        item.benefit_tag.clone(),
        some(item.review_months.into()),
        item.materials.join("; "),
        item.open_condition.clone(),
        item.close_condition.clone(),
        some(item.retention_days.into()),
        channels.join("; "),
        item.required_skills.join("; "),
    ]
}

/// The fields in which two versions of an item differ: code of the column, before, after.
pub fn item_changes(before: &Item, after: &Item) -> Vec<(&'static str, String, String)> {
    let (before, after) = (item_cells(before, true), item_cells(after, true));
    let cells = item_header(true).into_iter().zip(before.into_iter().zip(after));
    cells.filter(|(_, (before, after))| before != after).map(|(code, (b, a))| (code, b, a)).collect()
}

/// The items of a table that are right; what is wrong is in `problems`.
pub fn read_items(
    table: &Table,
    base: &BTreeMap<String, Item>,
    context: &ItemContext<'_>,
    problems: &mut Problems,
) -> Vec<Item> {
    let columns = Columns::of(table, COLUMNS, "item_code", problems);
    if !columns.has("item_code") {
        return Vec::new();
    }
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut items = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let before = problems.count();
        let mut cells = Cells::of(&columns, row, problems);
        let code = cells.get("item_code").unwrap_or_default();
        let known = base.get(code);
        if let Some(first) = seen.insert(code.to_owned(), row.number).filter(|_| !code.is_empty()) {
            cells.wrong("item_code", "duplicate", first);
        }
        let mut item = known.cloned().unwrap_or_else(blank);
        match known {
            None => cells.needs(COLUMNS),
            Some(_) => cells.keeps(COLUMNS),
        }
        fill(&mut cells, &mut item);
        // As it was, though it might not be taken today.
        if known != Some(&item) {
            check(&mut cells, &item, context);
        }
        if problems.count() == before {
            items.push(item);
        }
    }
    items
}

fn blank() -> Item {
    Item {
        item_code: String::new(),
        version: 1,
        name_zh: String::new(),
        name_en: String::new(),
        category: String::new(),
        subcategory: String::new(),
        nature: Nature::Help,
        lines: Vec::new(),
        department_item: false,
        lead_line_unclear: false,
        item_kind: String::new(),
        urgency: Urgency::Normal,
        statutory_limit: None,
        promised_limit: SeedLimit { value: 1, unit: calendar::TimeUnit::WorkDay },
        stages: Vec::new(),
        sla_profile: String::new(),
        self_solvable: false,
        offer_chain: Vec::new(),
        emergency_channel: String::new(),
        statutory_channel: String::new(),
        accepts_anonymous: false,
        public_safety: false,
        silence_accepts: false,
        public_notice_days: 0,
        field_checkers: 0,
        urgent_max_fen: 0,
        papers_days: 0,
        benefit_tag: String::new(),
        review_months: 0,
        materials: Vec::new(),
        open_condition: String::new(),
        close_condition: String::new(),
        retention_days: 0,
        channels: Vec::new(),
        required_skills: Vec::new(),
    }
}

fn fill(cells: &mut Cells<'_>, item: &mut Item) {
    cells.code("item_code", &mut item.item_code);
    cells.text("name_zh", 60, &mut item.name_zh);
    cells.text("name_en", 120, &mut item.name_en);
    cells.text("category", 40, &mut item.category);
    cells.text("subcategory", 40, &mut item.subcategory);
    cells.word("nature", &named(Nature::ALL, Nature::as_str), &mut item.nature);
    codes(cells, "lines", 5, &mut item.lines);
    cells.flag("department_item", &mut item.department_item);
    cells.flag("lead_line_unclear", &mut item.lead_line_unclear);
    cells.text("item_kind", 40, &mut item.item_kind);
    cells.word("urgency", &named(Urgency::ALL, Urgency::as_str), &mut item.urgency);
    cells.limit("statutory_limit", &mut item.statutory_limit);
    let mut promised = Some(item.promised_limit);
    cells.limit("promised_limit", &mut promised);
    item.promised_limit = promised.unwrap_or(item.promised_limit);
    stages(cells, &mut item.stages);
    cells.code("sla_profile", &mut item.sla_profile);
    cells.flag("self_solvable", &mut item.self_solvable);
    cells.list("offer_chain", 10, &mut item.offer_chain);
    cells.code("emergency_channel", &mut item.emergency_channel);
    cells.code("statutory_channel", &mut item.statutory_channel);
    cells.flag("accepts_anonymous", &mut item.accepts_anonymous);
    cells.flag("public_safety", &mut item.public_safety);
    cells.flag("silence_accepts", &mut item.silence_accepts);
    cells.number("public_notice_days", 1..=60, &mut item.public_notice_days);
    cells.number("field_checkers", 1..=5, &mut item.field_checkers);
    cells.number("urgent_max_fen", 1..=crate::domain::MOST_FEN, &mut item.urgent_max_fen);
    cells.number("papers_days", 1..=60, &mut item.papers_days);
    cells.code("benefit_tag", &mut item.benefit_tag);
    // Not so often that one re-check is hardly decided before the next is due.
    cells.number("review_months", 3..=60, &mut item.review_months);
    cells.list("materials", 30, &mut item.materials);
    cells.text("open_condition", 500, &mut item.open_condition);
    cells.text("close_condition", 500, &mut item.close_condition);
    cells.number("retention_days", 1..=36_500, &mut item.retention_days);
    cells.words("channels", &named(Channel::ALL, Channel::as_str), &mut item.channels);
    codes(cells, "required_skills", 20, &mut item.required_skills);
}

fn codes(cells: &mut Cells<'_>, column: &str, most: usize, field: &mut Vec<String>) {
    let mut parts = Vec::new();
    cells.list(column, most, &mut parts);
    if cells.get(column).is_none() {
        return;
    }
    if parts.iter().all(|part| is_code(part)) {
        *field = parts
    } else {
        cells.wrong(column, "not_a_code", "")
    }
}

fn stages(cells: &mut Cells<'_>, field: &mut Vec<SeedStage>) {
    let mut parts = Vec::new();
    cells.list("stages", MOST_STAGES, &mut parts);
    if cells.get("stages").is_none() {
        return;
    }
    let stage = |text: &String| {
        let mut parts = text.split('|').map(str::trim);
        let (code, zh, en, limited) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        let good = is_code(code) && code.chars().all(plain) && !zh.is_empty() && !en.is_empty();
        let fits = parts.next().is_none() && zh.chars().count() <= 40 && en.chars().count() <= 60;
        let limit = limit(limited).filter(|_| good && fits)?;
        Some(SeedStage { code: code.to_owned(), name_zh: zh.to_owned(), name_en: en.to_owned(), limit })
    };
    let Some(read) = parts.iter().map(stage).collect::<Option<Vec<_>>>() else {
        return cells.wrong("stages", "not_a_stage", "");
    };
    let twice = |n: usize| read[..n].iter().any(|known: &SeedStage| known.code == read[n].code);
    if (0..read.len()).any(twice) { cells.wrong("stages", "duplicate_value", "") } else { *field = read }
}

/// What fields must be together, and against everything else.
fn check(cells: &mut Cells<'_>, item: &Item, context: &ItemContext<'_>) {
    match seed::catalogue().categories.iter().find(|category| category.name_zh == item.category) {
        None if item.category.is_empty() => {}
        None => cells.wrong("category", "unknown_category", ""),
        Some(category) => {
            let digits =
                item.item_code.strip_prefix(&category.prefix).and_then(|rest| rest.strip_prefix('-'));
            let four = |rest: &str| rest.len() == 4 && rest.chars().all(|c| c.is_ascii_digit());
            if !item.item_code.is_empty() && !digits.is_some_and(four) {
                cells.wrong("item_code", "code_of_category", format!("{}-", category.prefix));
            }
        }
    }
    if !item.item_kind.is_empty() && !ITEM_KINDS.contains(&item.item_kind.as_str()) {
        cells.wrong("item_kind", "unknown_value", ITEM_KINDS.join(" "));
    }
    if !item.sla_profile.is_empty() && !(context.profile)(&item.sla_profile) {
        cells.wrong("sla_profile", "unknown_profile", "");
    }
    let partner = |step: &String| match step.strip_prefix("kind:") {
        Some(kind) => kind.parse::<OrgKind>().is_ok(),
        None => context.orgs.contains_key(step.as_str()),
    };
    if !item.offer_chain.iter().all(partner) {
        cells.wrong("offer_chain", "unknown_partner", "");
    }
    if item.self_solvable && item.offer_chain.is_empty() {
        cells.wrong("offer_chain", "no_partner", "");
    }
    if !item.emergency_channel.is_empty() && !item.statutory_channel.is_empty() {
        cells.wrong("statutory_channel", "one_channel_only", "");
    }
    let human = |channel: &Channel| matches!(channel, Channel::Window | Channel::Phone | Channel::Worker);
    if !item.channels.is_empty() && (item.channels.len() < 2 || !item.channels.iter().any(human)) {
        cells.wrong("channels", "too_few_channels", "");
    }
    for (column, set) in [
        ("public_notice_days", item.public_notice_days > 0),
        ("field_checkers", item.field_checkers > 0),
        ("urgent_max_fen", item.urgent_max_fen > 0),
        ("papers_days", item.papers_days > 0),
        ("benefit_tag", !item.benefit_tag.is_empty()),
        ("review_months", item.review_months > 0),
    ] {
        if set && item.nature != Nature::Application {
            cells.wrong(column, "application_only", "");
        }
    }
    match (item.benefit_tag.is_empty(), item.review_months > 0) {
        (true, true) => cells.wrong("benefit_tag", "tag_and_review", ""),
        (false, false) => cells.wrong("review_months", "tag_and_review", ""),
        _ => {}
    }
    check_limits(cells, item, context);
}

/// What the domain asks of limits and stages, as far as the fields could be read.
fn check_limits(cells: &mut Cells<'_>, item: &Item, context: &ItemContext<'_>) {
    let Rules { calendar, profile, .. } = context.rules;
    let whole =
        seed::Item { item_code: "X".into(), category: "X".into(), lines: vec!["x".into()], ..item.clone() };
    let whole = whole.service_item(context.orgs);
    match whole.validate(calendar, profile, context.at) {
        Ok(()) => {}
        Err(DomainError::Invalid { field: "promised_limit", .. }) => {
            cells.wrong("promised_limit", "promised_longer", "");
        }
        Err(DomainError::Invalid { field: "stages", .. }) => {
            let longest = Limit::new(calendar::TimeUnit::Month, 60);
            let alone =
                crate::domain::ServiceItem { promised_limit: longest, statutory_limit: None, ..whole };
            let barred = alone.validate(calendar, profile, context.at).is_err();
            cells.wrong("stages", if barred { "stages_barred" } else { "stages_longer" }, "");
        }
        // Told above, by its own column.
        Err(DomainError::Invalid { field: "society_chain", .. }) => {}
        Err(other) => cells.wrong("item_code", "item_rule", other),
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
