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
        let bare = bare.strip_prefix("assignment_status_").unwrap_or(bare);
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
    ("sync_state_pending", "待发送", "Waiting"),
    ("sync_state_synced", "已同步", "Synced"),
    ("sync_state_retrying", "重试中", "Tried again"),
    ("sync_state_failed", "已放弃", "Given up"),
    ("sync_state_paused", "已暂停", "Paused"),
    ("exchange_direction_in", "转入", "In"),
    ("exchange_direction_out", "转出", "Out"),
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
    ("offer", "邀请答复", "Answer to an invitation"),
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
    ("assignment_status_accepted", "已接单", "Accepted by the worker"),
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
    // Of objections and rulings.
    ("objection_state_open", "待处理", "Open"),
    ("objection_state_rejected", "异议不成立", "Rejected"),
    ("objection_state_in_arbitration", "裁定中", "In arbitration"),
    ("objection_state_agreed", "协商一致", "Agreed"),
    ("objection_state_ruled", "已裁定", "Ruled"),
    ("objection_state_in_review", "复核中", "In review"),
    ("objection_state_final", "已生效", "Final"),
    ("objection_state_lapsed", "随案终止", "Lapsed with the case"),
    // Reasons that people give by code, the common ones.
    ("not_competent", "不属本单位职责", "Not its duty"),
    ("responsibility_list", "责任清单", "Responsibility list"),
    ("stop_gap", "保持联系，先行应急处置", "Keeps contact, does what cannot wait"),
    ("fence_off", "先行围挡警示", "Fences it off and warns"),
    ("whose_duty", "界定职责归属", "Whose duty it is"),
    ("as_stated", "与申报一致", "As stated"),
    ("authority_refused", "未予授权", "No authority"),
    ("funds_refused", "经费不落实", "No money"),
    ("staff_unavailable", "人员不到位", "No staff"),
    ("training_refused", "拒绝培训", "Training refused"),
    ("nobody_free", "无人可派", "Nobody is free"),
    ("pilot_over", "试点结束", "The pilot is over"),
    ("not_admitted", "未准入", "Not admitted"),
    ("under_way", "正在办理", "Under way"),
    ("no_capacity", "力量不足", "No capacity"),
    ("complaint_founded", "差评属实", "The complaint is founded"),
    ("complaint_unfounded", "差评不属实", "The complaint is unfounded"),
    // Causes for which a case waits.
    ("public_hearing", "听证期间", "Hearing"),
    ("inspection_testing", "检验、检测、检疫、鉴定期间", "Inspection, testing or appraisal"),
    ("expert_review", "专家评审期间", "Expert review"),
    ("force_majeure", "不可抗力", "Force majeure"),
    ("season_condition", "受季节或天气限制", "Season or weather"),
    ("project_schedule", "已列入工程计划", "Scheduled in a works plan"),
    ("await_requester", "诉求人请求暂缓", "The requester asked to wait"),
    ("judicial_procedure", "等待司法或仲裁结论", "Waiting for a court or arbitration"),
    ("funds_pending", "待专项资金审批", "Waiting for dedicated funds"),
    // Of supervisions, by level and state.
    ("supervision_level_0", "催办", "Reminder"),
    ("supervision_level_1", "一级督办", "Supervision, level 1"),
    ("supervision_level_2", "二级督办", "Supervision, level 2"),
    ("supervision_level_3", "三级督办", "Supervision, level 3"),
    ("supervision_state_issued", "已发出", "Issued"),
    ("supervision_state_acknowledged", "已签收", "Acknowledged"),
    ("supervision_state_answered", "已答复", "Answered"),
    ("supervision_state_cleared", "已销号", "Cleared"),
    // Of verifications: how it was checked, and what a call came to.
    ("verify_method_on_site", "现场核查", "On site"),
    ("verify_method_photo", "照片核查", "By photo"),
    ("verify_method_phone", "电话核查", "By phone"),
    ("verify_method_documents", "材料核查", "By documents"),
    ("callback_outcome_reached", "已联系上", "Reached"),
    ("callback_outcome_unreached", "未联系上", "Not reached"),
    ("callback_outcome_not_due", "无需回访", "Not due"),
    // Of evidence.
    ("evidence_kind_photo", "照片", "Photo"),
    ("evidence_kind_document", "文件", "Document"),
    ("evidence_kind_explanation", "解释说明", "Explanation"),
    ("evidence_kind_service_record", "服务记录", "Service record"),
    ("evidence_kind_work_report", "工作报告", "Work report"),
    // Of ratings: how they came.
    ("channel_window", "窗口", "At the window"),
    ("channel_phone", "电话", "By phone"),
    ("channel_app", "手机端", "By app"),
    ("channel_web", "网站", "On the web"),
    ("channel_worker", "工作人员代办", "Through a worker"),
    ("channel_external", "其他系统", "From another system"),
    ("channel_patrol", "巡查", "On patrol"),
    // Of words that were added to a case.
    ("remark_kind_remark", "留言", "Remark"),
    ("remark_kind_reopening", "重新打开的原因", "On opening it again"),
    ("remark_kind_rating", "评价留言", "With the rating"),
    ("remark_kind_joined", "并入诉求的补充", "Of a merged request"),
    // Of duties that move.
    ("duty_transfer_state_applied", "待评估", "To be assessed"),
    ("duty_transfer_state_proposed", "已提出", "Proposed"),
    ("duty_transfer_state_effective", "生效", "In force"),
    ("duty_transfer_state_suspended", "中止", "Suspended"),
    ("duty_transfer_state_ended", "终止", "Ended"),
    ("duty_transfer_state_rolled_back", "回滚", "Rolled back"),
    ("leg_state_open", "待确认", "Open"),
    ("leg_state_confirmed", "已确认", "Confirmed"),
    ("leg_state_refused", "已拒绝", "Refused"),
    ("task_admission_state_applied", "已申请", "Applied for"),
    ("task_admission_state_assessed", "已评估", "Assessed"),
    ("task_admission_state_approved", "已批准", "Approved"),
    ("task_admission_state_in_force", "施行", "In force"),
    ("task_admission_state_expired", "期满", "Expired"),
    ("task_admission_state_denied", "不予准入", "Denied"),
    ("opinion_view_supports", "支持", "Supports"),
    ("opinion_view_objects", "反对", "Objects"),
    ("street", "街道", "Street"),
    ("community", "社区", "Community"),
    // Of their assessment, their courses and why they ended.
    ("law_found", "有法律依据", "The law provides for it"),
    ("law_missing", "没有法律依据", "No law provides for it"),
    ("near_to_people", "就近服务居民", "Near to the people"),
    ("seasonal", "季节性", "Seasonal"),
    ("not_needed", "没有必要", "Not needed"),
    ("bearable", "可以承受", "Bearable"),
    ("too_heavy", "负担过重", "Too heavy"),
    ("none", "无", "None"),
    ("department_itself", "可由部门自行办理", "The department can do it itself"),
    ("not_held", "没有开设课程", "The courses are not held"),
    ("not_attended", "未参加培训", "Not attended"),
    ("not_passed", "未通过考核", "Not passed"),
    // Fields of their forms.
    ("field_law_code", "法律依据", "Law"),
    ("field_need_code", "必要性", "Need"),
    ("field_load_code", "负担", "Load"),
    ("field_alternative_code", "替代办法", "Alternatives"),
    ("field_record_ref", "培训记录编号", "Record of the courses"),
    ("field_reason_code", "理由", "Reason"),
    ("field_text", "专题内容", "What the topic case is to look into"),
    ("field_query", "查找的内容", "Words looked for"),
    ("heating_basics", "供暖基础知识", "Heating basics"),
    ("replaced", "已被替代", "Replaced"),
    ("deadline", "截止时未收到全部确认", "Not everything was known to be there by the deadline"),
    ("not_decided", "期满未作决定", "Nobody had decided in time"),
    ("post_vacant", "岗位空缺", "A post is vacant"),
    ("post_kind_service_worker", "社区服务员", "Service worker"),
    ("post_kind_auxiliary_worker", "协管员", "Auxiliary worker"),
    ("post_kind_grid_worker", "网格员", "Grid worker"),
    ("post_kind_station_head", "站长", "Station head"),
    ("post_kind_social_worker", "社工", "Social worker"),
    ("post_kind_officer", "部门承办人", "Department officer"),
    // Of what comes with them to the community.
    ("arrival_state_arrived", "已到位", "Arrived"),
    ("arrival_state_not_yet", "尚未到位", "Not yet"),
    ("arrival_state_unknown", "未知", "Unknown"),
    ("arrival_none_promised", "未作承诺", "none was promised"),
    ("arrival_not_recorded", "系统未记录", "not recorded"),
    ("arrival_not_confirmed", "尚未确认", "not confirmed"),
    ("arrival_not_listed", "未列入责任清单", "not in the list"),
    ("arrival_partly_listed", "部分列入责任清单", "only in part in the list"),
    ("arrival_no_promise", "没有承诺时限", "no limit is promised"),
    ("arrival_posts_not_named", "尚未定岗", "posts are not named"),
    ("arrival_posts_vacant", "岗位空缺", "a post is vacant"),
    ("arrival_no_ratings", "尚无评议", "nobody has said anything"),
    ("arrival_not_visible", "不对您的岗位显示", "not shown to your role"),
    ("arrival_no_answer", "服务暂未应答", "no answer just now"),
    // Of applications and mediations in detail.
    ("investigation_kind_home_visit", "入户调查", "Home visit"),
    ("investigation_kind_neighbour_visit", "邻里访问", "Neighbours asked"),
    ("investigation_kind_letter", "信函索证", "Letter"),
    ("investigation_kind_panel", "民主评议", "Panel"),
    ("investigation_kind_data_check", "信息核对", "Data check"),
    ("application_outcome_granted", "准予", "Granted"),
    ("application_outcome_denied", "不予批准", "Refused"),
    ("application_outcome_not_accepted", "不予受理", "Not accepted"),
    ("remedy_kind_reconsideration", "行政复议", "Reconsideration"),
    ("remedy_kind_litigation", "行政诉讼", "Litigation"),
    // Of lasting benefits, their tags and re-checks.
    ("benefit_state_active", "享受中", "Goes on"),
    ("benefit_state_under_review", "复核中", "Under review"),
    ("benefit_state_ended", "已终止", "Ended"),
    ("recheck_outcome_open", "复核中", "Not decided"),
    ("recheck_outcome_renewed", "继续享受", "Goes on"),
    ("recheck_outcome_ended", "终止", "Ended"),
    ("benefit_ground_moved_away", "迁出", "Moved away"),
    ("benefit_ground_died", "死亡", "Died"),
    ("benefit_ground_given_up", "本人放弃", "Given up"),
    ("ended", "已终止", "Ended"),
    ("dibao", "低保", "Minimum living allowance"),
    ("gaoling", "高龄", "Old age"),
    ("canji", "残疾", "Disability"),
    ("income_above_standard", "家庭人均收入高于标准", "Income above the standard"),
    ("assets_above_standard", "家庭财产超过规定", "Assets above the standard"),
    ("household_not_covered", "申请人或家庭成员不符合条件", "The household is not covered"),
    ("condition_not_met", "不符合该事项规定的条件", "A condition of the item is not met"),
    ("out_of_area", "不属于本区受理范围", "Outside the district"),
    ("other_authority", "应当向其他机关申请", "Belongs to another authority"),
    ("nothing_to_apply_for", "该事项依法不需要申请", "The matter needs no application"),
    ("decided_before", "同一事项已有生效决定且无新情况", "Decided before, and nothing is new"),
    ("no_hardship_found", "经核实不存在所述困难", "The hardship was not found"),
    ("false_statement", "提供的材料不真实", "The papers are not true"),
    ("party_kind_person", "个人", "Person"),
    ("party_kind_organization", "单位", "Organisation"),
    ("mediation_deadline_kind_request_confirmation", "申请司法确认", "Ask the court"),
    ("mediation_deadline_kind_court_accepts", "法院受理", "The court takes it"),
    ("mediation_deadline_kind_court_decides", "法院裁定", "The court decides"),
    ("mediation_deadline_kind_performance", "履行协议", "Perform the agreement"),
    ("mediation_deadline_kind_follow_up", "回访履行", "Ask whether it is performed"),
    ("mediation_deadline_kind_talks", "达成协议", "Come to an agreement"),
];

/// `CASE_STATE_IN_PROGRESS` → `in_progress`, for any enum of the suite.
pub fn bare(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
            ("AssignmentStatus", ""),
            ("ClockKind", "CLOCK_KIND_"),
            ("ClosedCode", ""),
            ("ApplicationState", ""),
            ("MediationState", "MEDIATION_STATE_"),
            ("ConfirmationState", "CONFIRMATION_STATE_"),
        ];
        for (name, prefix) in shown {
            let found = proto::pool().get_enum_by_name(&format!("jianghan.case_routing.v1.{name}"));
            let mut words = HashSet::new();
            for value in found.expect("an enum of the suite").values().filter(|value| value.number() != 0) {
                let code = bare(value.name(), prefix);
                for lang in [Lang::Zh, Lang::En] {
                    assert_ne!(lang.name(&code), code, "{} has no name", value.name());
                    assert!(words.insert(lang.name(&code)), "{} is named like another", value.name());
                }
            }
        }
    }

    /// The same of the enums that are shown by their full names.
    #[test]
    fn so_has_every_full_code() {
        let shown = [
            "case_routing.v1.DutyTransferState",
            "case_routing.v1.LegState",
            "case_routing.v1.TaskAdmissionState",
            "case_routing.v1.OpinionView",
            "case_routing.v1.ArrivalState",
            "case_routing.v1.InvestigationKind",
            "case_routing.v1.ApplicationOutcome",
            "case_routing.v1.RemedyKind",
            "case_routing.v1.BenefitState",
            "case_routing.v1.RecheckOutcome",
            "case_routing.v1.BenefitGround",
            "case_routing.v1.PartyKind",
            "case_routing.v1.MediationDeadlineKind",
            "staffing.v1.PostKind",
        ];
        for name in shown {
            let found = proto::pool().get_enum_by_name(&format!("jianghan.{name}"));
            for value in found.expect("an enum of the suite").values().filter(|value| value.number() != 0) {
                assert_ne!(Lang::En.name(value.name()), value.name(), "{} has no name", value.name());
            }
        }
    }

    /// The closed list of those who refuse applications.
    #[test]
    fn so_has_every_reason_for_which_an_application_is_refused() {
        let list = include_str!("../../../case-routing/seed/refusal_reasons.toml");
        let codes = list.lines().filter_map(|line| line.strip_prefix("code = \"")?.strip_suffix('"'));
        let mut seen = 0;
        for code in codes {
            seen += 1;
            let zh = Lang::Zh.name(code);
            assert!(zh != code && Lang::En.name(code) != code, "{code} has no name");
            assert!(list.contains(&format!("zh = \"{zh}\"")), "{code} has another name there");
        }
        assert!(seen >= 10, "{seen}");
    }

    #[test]
    fn a_worker_takes_a_job_and_a_case_is_taken_in() {
        assert_eq!(Lang::Zh.name("ASSIGNMENT_STATUS_ACCEPTED"), "已接单");
        assert_eq!(Lang::Zh.name("CASE_STATE_ACCEPTED"), "已受理");
    }

    /// The codes that duties are assessed and ended by here; other ones may be given, too.
    #[test]
    fn so_have_the_common_codes_of_duties() {
        let assessed = ["law_found", "near_to_people", "seasonal", "bearable", "none", "heating_basics"];
        for code in assessed.into_iter().chain(["replaced", "deadline", "not_decided", "post_vacant"]) {
            let (zh, en) = (Lang::Zh.name(code), Lang::En.name(code));
            assert!(zh != code && en != code && zh != en, "{code} has no name");
        }
    }

    #[test]
    fn a_code_nobody_named_is_shown_as_it_is() {
        assert_eq!(Lang::Zh.name("something_new"), "something_new");
        assert_eq!(Lang::En.named("前进街道", ""), "前进街道");
    }
}
