//! Chinese first, English beside it: the words of the pages. Codes come from the services; only their names are here.

use axum::http::HeaderMap;

use super::session::cookie;

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// Chinese.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The reader's choice, Chinese unless said otherwise.
    pub fn of(headers: &HeaderMap) -> Self {
        if cookie(headers, "jh_lang") == Some("en") { Self::En } else { Self::Zh }
    }

    /// The value of the `lang` attribute.
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// One of two words.
    pub fn t<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// The name of a code that a service uses; an unknown one is shown as it is.
    pub fn name(self, code: impl AsRef<str>) -> String {
        let code = code.as_ref();
        let whole = code.to_ascii_lowercase();
        let bare = whole.rsplit("_state_").next().unwrap_or(&whole);
        let bare = bare.strip_prefix("closed_code_").unwrap_or(bare);
        let find = |wanted: &str| NAMES.iter().find(|(known, _, _)| *known == wanted);
        match find(&whole).or_else(|| find(bare)) {
            Some((_, zh, en)) => self.t(zh, en).to_owned(),
            None => code.to_owned(),
        }
    }

    /// One of two names; the Chinese one where there is no English one.
    pub fn named<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        if en.is_empty() { zh } else { self.t(zh, en) }
    }
}

/// Code, Chinese, English (domain §5, §2.2.2).
const NAMES: &[(&str, &str, &str)] = &[
    ("registered", "已登记", "Registered"),
    ("need_supplement", "待补正", "Supplement needed"),
    ("not_accepted", "不予受理", "Not accepted"),
    ("handed_off", "转专线", "Handed off"),
    ("merged", "并单", "Merged"),
    ("accepted", "已受理", "Accepted"),
    ("triaged", "已研判", "Triaged"),
    ("offered_to_society", "协商自治", "Offered to society"),
    ("dispatched", "已派单", "Dispatched"),
    ("objected", "派单异议", "Objected"),
    ("signed", "已签收", "Signed"),
    ("in_progress", "办理中", "In progress"),
    ("suspended", "挂起", "Suspended"),
    ("completed", "待核查", "Completed, to be verified"),
    ("verifying", "核查回访中", "Verifying"),
    ("resolved", "核查通过", "Resolved"),
    ("closed", "已结案", "Closed"),
    ("archived", "已归档", "Archived"),
    ("withdrawn", "撤回", "Withdrawn"),
    // Of applications, where the word means something else than of cases and tasks.
    ("application_state_submitted", "已申请", "Submitted"),
    ("application_state_approved", "准予", "Granted"),
    ("investigating", "调查核实中", "Investigating"),
    ("reviewed", "已审核", "Reviewed"),
    ("public_notice", "公示中", "Public notice"),
    ("reinvestigating", "异议复查中", "Looked into again"),
    ("delivered", "已兑现", "Delivered"),
    ("denied", "不予批准", "Denied"),
    ("issued", "已下达", "Issued"),
    ("working", "办理中", "Working"),
    ("submitted", "已提交", "Submitted"),
    ("approved", "已通过", "Approved"),
    ("returned", "已退回", "Returned"),
    ("declined", "已谢绝", "Declined"),
    ("cancelled", "已取消", "Cancelled"),
    ("gov_direct", "政府直接办理", "Government"),
    ("gov_purchased", "政府购买服务", "Purchased by government"),
    ("volunteer", "志愿服务", "Volunteers"),
    ("self_governance", "居民自治", "Self-governance"),
    ("market", "市场服务", "Market"),
    ("closed_code_resolved", "已解决", "Resolved"),
    ("closed_code_declined", "不予受理", "Not accepted"),
    ("partly_resolved", "部分解决", "Partly resolved"),
    ("explained", "政策解释", "Explained"),
    ("unfounded", "不属实", "Unfounded"),
    ("beyond_authority", "告知其他渠道", "Told another channel"),
    ("self_governed", "自治解决", "Self-governed"),
    ("mediated", "调解结案", "Mediated"),
    ("order", "交办", "Order"),
    ("whistle", "吹哨", "Whistle"),
    ("assist_request", "协助请求", "Assist request"),
    ("work_order", "购买工单", "Work order"),
    ("invitation", "邀请", "Invitation"),
    ("lead", "主办", "Lead"),
    ("assist", "协办", "Assist"),
    ("accept", "受理", "Accept"),
    ("supplement", "补正", "Supplement"),
    ("dispatch", "派单", "Dispatch"),
    ("offer", "协商", "Offer"),
    ("sign", "签收", "Sign"),
    ("objection", "异议", "Objection"),
    ("contact", "首次联系", "First contact"),
    ("resolve", "办结", "Resolve"),
    ("rework", "返工", "Rework"),
    ("verify", "核查", "Verify"),
    ("rating_window", "评价期", "Rating window"),
    ("consult", "协商", "Consultation"),
    ("ruling", "裁定", "Ruling"),
    ("report", "报到", "Report in"),
    ("judge", "差评核实", "Check of a bad rating"),
    ("stage", "分段处置", "Stage of the work"),
    ("normal", "一般", "Normal"),
    ("urgent", "紧急", "Urgent"),
    ("emergency", "突发", "Emergency"),
    ("offered", "已派工", "Offered"),
    ("on_site", "已到场", "On site"),
    ("done", "已完成", "Done"),
    ("unfilled", "无人可派", "Unfilled"),
    ("applied", "已申请", "Applied for"),
    ("initiated", "已提议", "Offered by the committee"),
    ("consented", "各方同意", "All parties consent"),
    ("in_session", "调解中", "In session"),
    ("agreed", "达成协议，待签署", "Agreed, to be signed"),
    ("effective", "协议生效", "Agreement in effect"),
    ("performed", "已履行", "Performed"),
    ("breached", "未履行", "Not performed"),
    ("told_of_court", "未履行，已告知诉讼", "Not performed, told of the court"),
    ("refused", "当事人拒绝", "Refused by a party"),
    ("failed", "调解不成", "Failed"),
    ("told_of_channels", "调解不成，已告知其他途径", "Failed, told of other channels"),
    ("terminated_by_party", "当事人终止", "Ended by a party"),
    ("requested", "已申请", "Requested"),
    ("confirmed", "已确认", "Confirmed"),
    ("not_confirmed", "不予确认", "Not confirmed"),
];

/// `CASE_STATE_IN_PROGRESS` → `in_progress`, for any enum of the suite.
pub fn bare(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of the enums the pages show, as the descriptors list them.
    #[test]
    fn every_code_the_pages_show_has_a_name_in_both_languages() {
        let shown = [
            ("CaseState", "CASE_STATE_"),
            ("TaskState", "TASK_STATE_"),
            ("TaskPart", "TASK_PART_"),
            ("DispatchMode", "DISPATCH_MODE_"),
            ("DeliveryMode", "DELIVERY_MODE_"),
            ("AssignmentStatus", "ASSIGNMENT_STATUS_"),
            ("ClockKind", "CLOCK_KIND_"),
            ("ClosedCode", ""),
            ("ApplicationState", ""),
            ("MediationState", "MEDIATION_STATE_"),
            ("ConfirmationState", "CONFIRMATION_STATE_"),
        ];
        for (name, prefix) in shown {
            let found = proto::pool().get_enum_by_name(&format!("jianghan.case_routing.v1.{name}"));
            for value in found.expect("an enum of the suite").values().filter(|value| value.number() != 0) {
                let code = bare(value.name(), prefix);
                for lang in [Lang::Zh, Lang::En] {
                    assert_ne!(lang.name(&code), code, "{} has no name", value.name());
                }
            }
        }
    }

    #[test]
    fn a_code_nobody_named_is_shown_as_it_is() {
        assert_eq!(Lang::Zh.name("something_new"), "something_new");
        assert_eq!(Lang::En.named("前进街道", ""), "前进街道");
    }
}
