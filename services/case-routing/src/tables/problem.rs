//! What can be wrong in a table, as codes with texts in both languages. A value is never repeated: whoever reads it has the file.

/// Most problems that are told of a file.
const MOST: usize = 1000;

/// Something wrong in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As a spreadsheet shows it; 0: the file as a whole.
    pub row: u32,
    /// As the header names it; empty: the row as a whole.
    pub column: String,
    /// One of the codes.
    pub code: &'static str,
    /// What the text names besides.
    pub what: String,
}

impl Problem {
    /// Chinese and English text.
    pub fn texts(&self) -> (String, String) {
        let (zh, en) = text(self.code);
        (zh.replace("{}", &self.what), en.replace("{}", &self.what))
    }
}

/// The problems of a file, in the order of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// At most 1000.
    pub found: Vec<Problem>,
    /// Further ones.
    pub left_out: u32,
}

impl Problems {
    /// One more.
    pub fn add(&mut self, row: u32, column: &str, code: &'static str, what: impl ToString) {
        if self.found.len() < MOST {
            self.found.push(Problem { row, column: column.to_owned(), code, what: what.to_string() });
        } else {
            self.left_out += 1;
        }
    }

    /// Whether the file can be taken.
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len() + self.left_out as usize
    }

    /// By rows, whatever order they were found in.
    pub fn sorted(mut self) -> Self {
        self.found.sort_by_key(|problem| problem.row);
        self
    }
}

/// Texts of a code.
pub fn text(code: &str) -> (&'static str, &'static str) {
    TEXTS.iter().find(|(known, ..)| *known == code).map_or(("有误", "is wrong"), |(_, zh, en)| (zh, en))
}

/// Code, Chinese, English.
const TEXTS: &[(&str, &str, &str)] = &[
    // Columns.
    ("unknown_column", "没有这一列", "no such column"),
    ("duplicate_column", "列名重复", "the column stands here twice"),
    ("missing_column", "缺少列 {}", "column {} is missing"),
    ("no_heading", "有内容但没有列名", "a cell without a heading"),
    // Cells.
    ("required", "必填", "is required"),
    ("too_long", "最多 {} 个字符", "has at most {} characters"),
    ("control_character", "含有控制字符", "has a control character"),
    ("not_a_code", "须为 1–64 位 A–Z a–z 0–9 _ . -", "must be 1–64 characters A–Z, a–z, 0–9, '_', '.', '-'"),
    ("not_a_flag", "须为 是 或 否", "must be yes or no"),
    ("not_a_number", "须为整数", "must be a whole number"),
    ("out_of_range", "须在 {} 之间", "must be within {}"),
    ("not_a_limit", "时限须写作 5 work_day 或 5 工作日", "a limit is written 5 work_day"),
    ("not_a_day", "日期须写作 2026-03-01", "is not a day such as 2026-03-01"),
    ("unknown_value", "取值须为：{}", "must be one of {}"),
    ("too_many", "最多 {} 项", "has at most {} entries"),
    ("duplicate_value", "同一项出现两次", "an entry stands here twice"),
    ("duplicate", "与第 {} 行重复", "stands in row {} already"),
    // Items.
    ("code_of_category", "事项编码须为 {} 加四位数字", "the code must be {} and four digits"),
    ("unknown_category", "不是一级类别", "is not a first-level category"),
    ("unknown_profile", "没有这一时限方案", "no limits have this name"),
    ("unknown_partner", "须为 kind:单位类型 或已知单位编码", "must be kind:… or the code of an organisation"),
    ("promised_longer", "承诺时限不得长于法定时限", "must not be longer than the statutory limit"),
    (
        "not_a_stage",
        "阶段须写作 编码|名称|英文名称|2 cal_hour",
        "a stage is written code|名称|name|2 cal_hour",
    ),
    (
        "stages_barred",
        "只有由单位承办的事项可以分段",
        "only work that organisations are ordered to do has stages",
    ),
    (
        "stages_longer",
        "各阶段时限之和不得长于承诺时限",
        "together must not take longer than the promised limit",
    ),
    ("no_partner", "可协商自治的事项须写明邀请次序", "a self-solvable item names its partners"),
    ("too_few_channels", "至少两个渠道，其中一个有人受理", "at least two channels, one of them with a human"),
    ("application_only", "只用于申请类事项", "only for applications"),
    (
        "tag_and_review",
        "待遇标签与复核周期须同时填写",
        "a lasting benefit has both a tag and a time after which it is reviewed",
    ),
    ("one_channel_only", "紧急专线与法定途径只能有一个", "either an emergency line or a statutory channel"),
    (
        "ends_default",
        "类别的兜底事项 {} 不能终止",
        "{} takes what fits no other item of its category and cannot end",
    ),
    ("item_rule", "事项不成立：{}", "the item does not hold: {}"),
    // Entries.
    ("unknown_item", "目录中没有该事项", "is not in the catalogue"),
    ("other_kind", "与该单位的类型不符", "is not the kind of the organisation"),
    ("unknown_org", "没有该编码的单位", "no organisation has this code"),
    ("no_holder", "须写明单位或单位类型", "an entry names an organisation or a kind"),
    ("line_of_org", "条线只用于限定单位类型", "narrows a kind, not one organisation"),
    (
        "community_leads",
        "社区只主办法定职责事项，或经职责移交",
        "a community leads its statutory duties only, or by a transfer",
    ),
    ("ends_before", "须晚于起始日", "must lie after valid_from"),
    (
        "duty_entry",
        "移交或准入的条目随其变动，不得在此增改",
        "an entry of a transfer or admission comes, changes and goes with it",
    ),
    ("duty_gone", "移交或准入的条目 {} 不得缺少", "{} is of a transfer or admission and goes with it"),
    ("not_a_condition", "适用条件不成立：{}", "is no condition: {}"),
    (
        "no_lead",
        "事项将没有主办单位，事项及起始日：{}",
        "would be left without any lead, item and first day: {}",
    ),
    // Statuses of referrals.
    ("not_an_ext_no", "工单号须为 1–64 个可见 ASCII 字符", "must have 1–64 visible ASCII characters"),
    ("not_a_time", "时间须写作 2026-03-01 14:30", "is not a time such as 2026-03-01 14:30"),
    ("time_to_come", "时间不得晚于现在", "lies in the future"),
    (
        "unknown_ticket",
        "没有以该工单号转给本系统的事项",
        "nothing was referred to this system under this number",
    ),
    ("not_referred", "该工单由本系统推送，并非转出", "was pushed by this system and not referred to it"),
    ("unknown_status", "现行对照中没有这一状态", "is no status of the mapping in force"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_same_in_both_languages_and_no_code_stands_twice() {
        let mut codes = std::collections::HashSet::new();
        for (code, zh, en) in TEXTS {
            assert_eq!(zh.matches("{}").count(), en.matches("{}").count(), "{code}");
            assert!(codes.insert(code), "{code}");
        }
        assert_eq!(text("no_such_code"), ("有误", "is wrong"));
    }

    #[test]
    fn more_than_a_thousand_are_counted() {
        let mut problems = Problems::default();
        (0..1005).rev().for_each(|row| problems.add(row, "a", "required", ""));
        assert_eq!((problems.found.len(), problems.left_out, problems.count()), (1000, 5, 1005));
        let problem = Problem { row: 3, column: "a".into(), code: "too_long", what: "40".into() };
        assert_eq!(problem.texts(), ("最多 40 个字符".to_owned(), "has at most 40 characters".to_owned()));
        assert!(problems.sorted().found.is_sorted_by_key(|problem| problem.row));
    }
}
