//! Reasons as codes with arguments, and their texts in Chinese and English. What is stored is the code;
//! the texts are made when somebody reads. A reason never holds what a person wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mediation::TEXTS as MEDIATION_TEXTS;
use super::terms;

/// Why something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

/// A language that reasons are rendered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

impl Language {
    /// One of two texts.
    #[must_use]
    pub const fn of<'t>(self, zh: &'t str, en: &'t str) -> &'t str {
        match self {
            Self::Chinese => zh,
            Self::English => en,
        }
    }
}

impl Reason {
    /// A reason without arguments.
    #[must_use]
    pub fn new(code: impl Into<String>) -> Self {
        Self { code: code.into(), args: BTreeMap::new() }
    }

    /// With one more argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.args.insert(name.to_owned(), value.to_string());
        self
    }

    /// The text in a language. A code without a text is shown as it is, with its arguments.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        self.render_with(language, |_| None)
    }

    /// The same. A code that is none of the domain's own may be one of a list, which has its texts in Chinese and in English.
    #[must_use]
    pub fn render_with(
        &self,
        language: Language,
        listed: impl Fn(&str) -> Option<(&'static str, &'static str)>,
    ) -> String {
        let own = TEXTS.iter().chain(MEDIATION_TEXTS).find(|(code, _, _)| *code == self.code);
        if let Some((_, zh, en)) = own {
            return self.args.iter().fold(language.of(zh, en).to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), &terms::term(name, value, language))
            });
        }
        let listed = listed(&self.code).map(|(zh, en)| language.of(zh, en));
        let text = listed.unwrap_or(&self.code);
        let beside: Vec<String> = match listed {
            Some(_) => self.args.iter().map(|(name, value)| terms::beside(name, value, language)).collect(),
            None => self.args.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        };
        match (beside.is_empty(), listed, language) {
            (true, ..) => text.to_owned(),
            (false, Some(_), Language::Chinese) => format!("{text}（{}）", beside.join("；")),
            (false, ..) => format!("{text} ({})", beside.join(", ")),
        }
    }
}

/// Code, Chinese, English. Every code that the domain itself produces stands here.
pub const TEXTS: &[(&str, &str, &str)] = &[
    // Routing: choices.
    (
        "deepest_competent",
        "责任清单 {rule} 中层级最低的有权单位",
        "the lowest competent level, by list entry {rule}",
    ),
    (
        "line_owner",
        "同级多个单位，选主管条线 {line} 的单位",
        "several at that level; the one that owns line {line}",
    ),
    (
        "lower_load",
        "同级同条线，选在办较少的单位",
        "several of that level and line; the one with less open work",
    ),
    (
        "equal_load",
        "同级同条线且在办同为 {load} 件，按固定次序选定",
        "several of that level and line with {load} open each: by a fixed order",
    ),
    (
        "needs_human",
        "把握度 {confidence}% 低于 {threshold}%，由人工确认或另行指定",
        "{confidence} % sure, less than {threshold} %: a human confirms or chooses",
    ),
    ("rated_on_behalf", "电话回访时代诉求人登记评价", "written down for the requester"),
    ("confirmed_by_human", "经人工确认", "confirmed by a human"),
    (
        "first_receiver_leads",
        "涉及多个条线且主办不明，首接负责",
        "several lines and no clear lead: the first receiver leads",
    ),
    (
        "above_first_receiver_leads",
        "涉及多个条线且主办不明，首接单位依清单不得主办，由其上级牵头",
        "several lines and no clear lead: the lists bar the first receiver, so who leads it leads",
    ),
    ("district_fallback", "无单位具备职责，由区级兜底", "nobody is competent: the district takes it"),
    (
        "nobody_may_lead",
        "清单连兜底单位也排除，由人工确定",
        "the lists bar the last resort as well: a human decides",
    ),
    (
        "sender_nearest_superior",
        "由最近的上级单位 {sender} 以 {mode} 方式派单",
        "sent by the nearest superior {sender} as {mode}",
    ),
    ("assists_by_list", "按清单确定协办单位 {count} 个", "{count} assisting by the list"),
    (
        "self_solvable_offer",
        "可协商自治且诉求人同意，先邀请第 {step} 位伙伴",
        "society can solve it and the requester agrees: partner {step} is invited",
    ),
    ("no_partner", "没有可邀请的伙伴", "no partner to invite"),
    ("requester_prefers_public_service", "诉求人未同意协商自治", "the requester did not agree to an offer"),
    ("emergency_no_offer", "紧急事项不进入协商自治", "an emergency is not offered"),
    ("chosen_by_dispatcher", "派单员人工确定", "chosen by a dispatcher"),
    (
        "first_receiver_stands_in",
        "裁定前由首接单位 {org} 保持联系并先行处置（{measure}）",
        "until the ruling the first receiver {org} keeps contact and does what cannot wait ({measure})",
    ),
    (
        "superior_stands_in",
        "首接单位被诉回避，裁定前由其上级 {org} 保持联系并先行处置（{measure}）",
        "the first receiver is complained of: until the ruling {org} above it keeps contact and does what cannot wait ({measure})",
    ),
    ("chosen_by_arbiter", "按职责裁定确定", "by the arbiter's ruling"),
    ("chosen_by_agreement", "各方协商一致确定", "by agreement of the parties"),
    (
        "agreed_lead_barred",
        "各方一致认为应由 {org} 主办，但其不得主办本件，提请裁定",
        "all parties name {org}, which may not lead this case: the arbiter rules",
    ),
    ("emergency_line", "属 {line} 紧急事项，立即转接", "an emergency of line {line}: handed over at once"),
    (
        "statutory_channel",
        "应通过法定途径 {channel} 解决，已告知",
        "belongs to a statutory channel, {channel}; told so",
    ),
    ("answered_at_window", "窗口当场答复", "answered at the window"),
    ("solved_on_spot", "巡查人员现场处置", "put right on the spot by who found it"),
    (
        "put_right_on_patrol",
        "巡查人员报告已现场处置（处置前 {before}；处置后 {after}），仍由主办单位办结",
        "put right by a patrol (before: {before}; after: {after}); the lead still completes it",
    ),
    (
        "found_again_on_patrol",
        "巡查人员再次发现，仍未处置（现场 {before}；紧急程度：{urgency}）",
        "found again by a patrol, and not put right (as it is: {before}; urgency: {urgency})",
    ),
    ("not_sampled", "未抽中核查，结案", "not drawn for a check: closed"),
    (
        "linked_to_topic",
        "已纳入专题统一研究，本件照常办理",
        "taken up by a topic case with others; this one goes its own way",
    ),
    // Routing: rejections of candidates.
    ("not_deepest", "有层级更低的有权单位", "a lower level is competent"),
    ("not_line_owner", "同级中另有主管条线单位", "another at that level owns the line"),
    ("higher_load", "同级中另有在办较少的单位", "another at that level has less open work"),
    ("later_in_order", "同级同条线且在办相同，次序在后", "as much open work at that level, later in order"),
    (
        "condition_unmet",
        "条目的适用条件 {condition} 不成立（{found}）",
        "the entry applies only where {condition} ({found})",
    ),
    ("assist_only", "清单规定只能协办", "may only assist, by the list"),
    ("negative_list", "列入负面清单", "on the negative list"),
    ("not_statutory_duty", "社区只能主办法定职责事项", "a community leads only its statutory duties"),
    (
        "department_item_not_transferred",
        "部门事项未经准入或职责移交",
        "a department's item without admission or transfer",
    ),
    ("recused", "被诉单位回避", "the subject of the complaint steps aside"),
    ("excluded", "已退回或拒收本件", "has returned or refused this case"),
    ("no_authority_edge", "没有可派单的上级关系", "nobody has authority to send it there"),
    ("only_by_offer", "合作伙伴只能邀请，不能派单", "a partner, who is asked and never sent a case"),
    ("not_in_force", "条目未生效或已失效", "the entry is not in force"),
    ("org_not_active", "单位已停用", "the organisation is not active"),
    ("not_a_partner", "不是合作伙伴", "is not a partner"),
    // Triage.
    (
        "urgency_claimed",
        "诉求人称情况紧急（{urgency}），是否紧急由研判确定",
        "{urgency}, says the requester: triage finds how urgent it is",
    ),
    (
        "place_followed",
        "所在单元已合并或改变归属，本件地点随之更新",
        "the unit of its place was merged or put under another one; the place follows",
    ),
    (
        "triaged_by_machine",
        "系统按文字研判为 {item}，把握度 {percent}%（模型 {model}）",
        "the machine triaged it as {item}, {percent} % sure (model {model})",
    ),
    (
        "suggestion_taken",
        "人工采纳系统建议 {item}（{percent}%，模型 {model}）",
        "a human took the suggestion {item} ({percent} %, model {model})",
    ),
    (
        "suggestion_corrected",
        "系统建议 {item}（{percent}%，模型 {model}），人工改定",
        "the machine suggested {item} ({percent} %, model {model}); a human decided otherwise",
    ),
    // Offers.
    ("declined", "伙伴婉拒", "the partner declined"),
    ("timed_out", "超过邀请时限未回应", "no answer in time"),
    ("too_late", "回应已过邀请时限", "the answer came too late"),
    ("case_moved_on", "本件已另行办理", "the case moved on"),
    ("gave_up", "伙伴退出", "the partner gave up"),
    ("overdue", "超过时限", "overdue"),
    ("assist_overdue", "协办单位超过时限", "an assist is overdue"),
    // Clocks, supervision.
    (
        "clock_reminder",
        "催办 {org}：{clock} 时限已过 {percent}%",
        "{org} is reminded: {percent} % of the {clock} limit has run",
    ),
    // Of timelines that do not say who was reminded.
    ("clock_warned", "{clock} 时限已过 {percent}%", "{percent} % of the {clock} limit has run"),
    ("clock_breached", "{clock} 超过时限", "the {clock} limit has passed"),
    (
        "calendar_amended",
        "节假日安排或工作时间公布、调整，{clock} 时限由 {from} 顺延至 {to}",
        "the calendar or the working hours changed: the {clock} limit moves from {from} to {to}",
    ),
    (
        "place_changed",
        "地点变更，按该地工作时间计算，{clock} 时限由 {from} 顺延至 {to}",
        "by the working hours of another place the {clock} limit moves from {from} to {to}",
    ),
    (
        "supervision_moved",
        "按现行节假日安排和工作时间，督办答复期限由 {from} 顺延至 {to}",
        "by the calendar and working hours in force the time to answer the supervision moves from {from} to {to}",
    ),
    (
        "supervision_rise_moved",
        "按现行节假日安排和工作时间，答复后督办升级时间由 {from} 顺延至 {to}",
        "by the calendar and working hours in force the answered supervision rises at {to} instead of {from}",
    ),
    (
        "supervision_renewed",
        "取消并单后继续办理，督办答复期限由 {from} 重新计算至 {to}",
        "taken out of another case: the time to answer the supervision, {from}, is counted anew until {to}",
    ),
    (
        "supervision_rise_renewed",
        "取消并单后继续办理，答复后督办升级时间由 {from} 重新计算至 {to}",
        "taken out of another case: the answered supervision rises at {to} instead of {from}",
    ),
    ("accepted_by_silence", "逾期未作决定，视为受理", "no decision in time: taken as accepted"),
    ("materials_missing", "一次性告知需补正：{materials}", "missing, told once and completely: {materials}"),
    ("materials_sent", "已补正：{materials}", "sent: {materials}"),
    ("supplement_expired", "逾期未补正", "the supplement did not come in time"),
    ("contacted_by_phone", "电话联系诉求人", "the requester was phoned"),
    ("contacted_by_visit", "上门联系诉求人", "the requester was visited"),
    ("contacted_by_message", "发消息联系诉求人", "the requester was sent a message"),
    ("assignment_unfilled", "无人可派", "no worker could be found"),
    ("did_not_report", "吹哨后未按时报到", "did not report in after the whistle"),
    ("bad_rating", "差评核实成立", "a bad rating was found valid"),
    ("reworked_often", "返工次数超过规定", "sent back more often than the limits allow"),
    ("no_answer", "督办逾期未答复", "the supervision was not answered in time"),
    ("still_overdue", "答复后仍未办结，督办升级", "answered, and overdue still"),
    ("leader", "领导批示", "a leader's instruction"),
    ("media", "媒体反映", "reported in the media"),
    ("repeat", "重复诉求", "asked for repeatedly"),
    // Likeness of cases.
    ("similar_text", "内容相似 {percent}%", "{percent} % of the words in common"),
    (
        "same_subject",
        "用词不同，说的是同类事情，相近 {percent}%",
        "the same kind of matter in other words, {percent} % alike",
    ),
    ("days_apart", "登记相隔 {days} 天", "registered {days} days apart"),
    ("metres_apart", "相距约 {metres} 米", "about {metres} m apart"),
    ("same_place", "同一地点 {unit}", "the same place {unit}"),
    ("near_place", "同在 {unit}", "both within {unit}"),
    ("same_requester", "同一诉求人", "the same requester"),
    ("same_item", "同一事项 {item}", "the same item {item}"),
    ("another_subject", "被诉单位不同", "another organisation is complained of"),
    (
        "suggested_item",
        "按分类模型的建议属同一事项 {item}",
        "the same item {item} as the classifier suggests",
    ),
    // Endings and changes.
    ("withdrawn", "诉求人撤回", "the requester withdrew"),
    (
        "withdrawn_at_window",
        "诉求人撤回（{reason}），由首接单位 {org} 的窗口凭其书面声明 {statement} 代为登记",
        "withdrawn ({reason}): written down at the window of {org} by the requester's statement {statement}",
    ),
    ("supplement_not_sent", "逾期未补正，视为撤回", "not supplemented in time: taken as withdrawn"),
    ("waived", "免于协办", "the assist was waived"),
    ("no_longer_needed", "已办结，不再需要", "the case is done, no longer needed"),
    ("recalled", "派单有误，收回", "a mis-dispatch, called back"),
    ("objection_accepted", "异议成立，改派", "the objection was accepted"),
    ("objection_rejected", "异议不成立", "the objection was rejected"),
    (
        "assist_relieved",
        "协办异议成立（{reason}），不再协办",
        "the objection to assisting was accepted ({reason}): it need not assist",
    ),
    (
        "objection_lapsed",
        "本件已撤回，异议不再处理",
        "the case was withdrawn before anybody decided over the objection",
    ),
    ("lead_changed", "主办单位变更", "the lead changed"),
    ("lead_declined", "主办单位拒收", "the lead declined"),
    ("item_changed", "事项已改", "the matter is another one now"),
    ("case_merged", "本件已并入另一件", "the case was merged into another one"),
    ("case_handed_off", "本件已转出", "the case was handed off"),
    ("returned_to_public_service", "转由公共服务办理", "the public service takes over"),
    ("rating_window_over", "评价期满", "the time for rating is over"),
    ("rated_good", "已评价", "rated"),
    ("rating_not_valid", "差评核实不成立", "the bad rating was found not valid"),
    ("new_facts", "有新的事实或理由", "new facts or reasons"),
    (
        "joined_bad_rating",
        "并入本件的诉求给出差评，经核实成立",
        "a bad rating of a request that was merged into this one was found valid",
    ),
    (
        "joined_rectified",
        "所并入的案件已就本件差评重新办理",
        "the case that it was merged into was worked on again for its bad rating",
    ),
    (
        "joined_called_back",
        "就重新办理的结果回访诉求人：{outcome}",
        "its requester was called about what was done again: {outcome}",
    ),
    (
        "joined_remark",
        "并入本件的诉求有补充",
        "something was added to a request that was merged into this one",
    ),
    ("subject_cleared", "经核，本件不再有被诉单位", "it complains of no organisation after all"),
    (
        "original_merged",
        "所并入的案件已并入另一件，本件随之转入",
        "the case that it was merged into went into another and took it along",
    ),
    (
        "original_unmerged",
        "所并入的案件已拆出，本件随之转回",
        "the case that it was merged into was taken out again, and it with that",
    ),
    (
        "others_outstanding",
        "伙伴已完成，待其他单位提交后办结",
        "the partner has done its part: the case is completed when the others have handed in",
    ),
    (
        "partner_was_done",
        "伙伴在时限届满前已完成，消息迟到",
        "the partner had done its part before its time was over; the news came late",
    ),
    ("late_bad_rating", "结案后差评核实成立", "a late bad rating was found valid"),
    (
        "rating_stands",
        "差评尚未核实，诉求人申请重启：按成立处理",
        "not judged yet when its requester had the case opened again: it counts as valid",
    ),
    (
        "original_over",
        "所并入的案件已终结，差评尚未核实：按成立处理，本件自行办理",
        "not judged yet when the case that it was merged into was over for good: it counts as valid",
    ),
    ("reworked", "返工", "rework"),
    ("mediated", "调解达成协议", "the parties agreed in a mediation"),
    ("mediation_failed", "调解未成，由公共服务办理", "no agreement: the public service takes over"),
    ("resume_date_reached", "到达恢复日期", "the date to resume was reached"),
    // Applications.
    ("papers_overdue", "先行救助后材料逾期未补", "the papers of an urgent grant are overdue"),
    (
        "papers_moved",
        "按现行节假日安排和工作时间，先行救助后补交材料期限由 {from} 顺延至 {to}",
        "by the calendar and working hours in force the papers are due at {to} instead of {from}",
    ),
    (
        "notice_prolonged",
        "公示末日 {from} 调整为休息日，公示顺延至 {to}",
        "the last day of the notice, {from}, became a rest day: it is shown until {to}",
    ),
    (
        "benefit_review_due",
        "待遇到 {day} 复核期，自动发起复核",
        "the benefit is due for review on {day}: a re-check begins by itself",
    ),
    ("benefit_reviewed_on", "待遇持续，{day} 到期复核", "the benefit lasts; it is reviewed on {day}"),
    ("benefit_ended", "待遇已终止", "the benefit has ended"),
    (
        "remedy_reconsideration",
        "可在 {until} 前申请行政复议",
        "reconsideration can be asked for until {until}",
    ),
    ("remedy_litigation", "可在 {until} 前提起行政诉讼", "a suit can be brought until {until}"),
    ("other_authority", "应当向其他机关申请", "belongs to another authority"),
    ("nothing_to_apply_for", "该事项依法不需要申请", "the matter needs no application"),
    ("decided_before", "同一事项已有生效决定且无新情况", "decided before, and nothing is new"),
    ("income_above_standard", "家庭人均收入高于标准", "income per head above the standard"),
    ("assets_above_standard", "家庭财产超过规定", "assets above the standard"),
    ("household_not_covered", "申请人或家庭成员不符合条件", "the applicant or household is not covered"),
    ("no_hardship_found", "经核实不存在所述困难", "the hardship was not found"),
    ("false_statement", "提供的材料不真实", "the papers are not true"),
    ("condition_not_met", "不符合该事项规定的条件", "a condition of the item is not met"),
    ("referral_reported", "对方系统 {system} 反馈：{status}", "system {system} reports: {status}"),
    (
        "referral_returned",
        "对方系统 {system} 退回（{status}），不再转 {line}，由本级继续办理",
        "system {system} sent it back ({status}): it goes on here, and not to line {line} again",
    ),
    (
        "referral_undelivered",
        "转出件或其补充未能送达，请设法送达或收回",
        "a referral, or words to it, do not get through: see to it, or take it back",
    ),
    (
        "referral_given_up",
        "转出件或其补充未能送达对方系统 {system}，已停止重试",
        "the referral, or words to it, do not get through to system {system} and are not tried any more",
    ),
    (
        "referral_not_taken",
        "转出件或其补充迟迟未被对方系统 {system} 接收，仍在等候",
        "system {system} has not taken the referral, or words to it, for long; they wait there still",
    ),
    (
        "said_after_end",
        "办结后对方系统又有补充内容，请查看处理",
        "another system said more after the case was over: read it and see to it",
    ),
    (
        "taken_back_reported",
        "本件已收回，对方系统 {system} 仍反馈：{status}，不影响本级办理",
        "system {system} still reports what was taken back from it ({status}): nothing moves here",
    ),
    (
        "taken_back",
        "已转 {line}，现收回（{reason}），由本级继续办理",
        "taken back from line {line} ({reason}): it goes on here",
    ),
    ("imported", "{on} 由 {source} 迁入", "taken over from {source} on {on}"),
    ("retention_reached", "达到归档期限", "the time to archive was reached"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_rendered_in_both_languages() {
        let reason = Reason::new("line_owner").with("line", "housing");
        assert_eq!(reason.render(Language::English), "several at that level; the one that owns line housing");
        assert_eq!(reason.render(Language::Chinese), "同级多个单位，选主管条线 住房保障和房屋管理 的单位");
        assert_eq!(Reason::new("local_code").with("n", 3).render(Language::English), "local_code (n=3)");
    }

    #[test]
    fn codes_of_lists_and_what_arguments_hold_are_rendered_in_words() {
        let listed = |code: &str| (code == "out_of_area").then_some(("不属于本区管辖", "Not of here"));
        let reason = Reason::new("out_of_area").with("channel", "window");
        let texts = [Language::Chinese, Language::English].map(|lang| reason.render_with(lang, listed));
        assert_eq!(texts, ["不属于本区管辖（已告知途径：服务窗口）", "Not of here (told of: the window)"]);
        assert_eq!(Reason::new("out_of_area").render_with(Language::Chinese, listed), "不属于本区管辖");
        assert_eq!(reason.render(Language::English), "out_of_area (channel=window)", "without the list");
        let claimed = Reason::new("urgency_claimed").with("urgency", "emergency");
        assert_eq!(
            claimed.render_with(Language::Chinese, listed),
            "诉求人称情况紧急（突发），是否紧急由研判确定"
        );
        assert!(claimed.render(Language::English).starts_with("an emergency, says the requester"));
        let told = Reason::new("local_code").with("told_ref", "doc:1");
        assert_eq!(told.render_with(Language::Chinese, listed), "local_code (told_ref=doc:1)");
    }

    #[test]
    fn texts_of_a_code_have_the_same_arguments_in_both_languages_and_no_code_stands_twice() {
        let arguments = |text: &str| -> Vec<String> {
            let mut names: Vec<_> = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
                .map(str::to_owned)
                .collect();
            names.sort();
            names
        };
        let mut codes = std::collections::HashSet::new();
        for (code, zh, en) in TEXTS.iter().chain(MEDIATION_TEXTS) {
            assert_eq!(arguments(zh), arguments(en), "{code}");
            assert!(codes.insert(code), "{code}");
        }
    }
}
