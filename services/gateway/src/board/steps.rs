//! Names of the steps in a case's timeline, which are events and what is noted beside them, and of the grounds of objections.

use super::lang::Lang;

type Named = (&'static str, &'static str, &'static str);

/// The name of a step; an unknown one is shown as it is.
pub fn step(event: &str, lang: Lang) -> &str {
    find(STEPS, event).map_or(event, |(_, zh, en)| lang.t(zh, en))
}

/// The ground on which somebody objected to a dispatch; an unknown one is a code like any other.
pub fn ground(code: &str, lang: Lang) -> String {
    find(GROUNDS, code).map_or_else(|| lang.name(code), |(_, zh, en)| lang.t(zh, en).to_owned())
}

fn find(all: &'static [Named], wanted: &str) -> Option<&'static Named> {
    all.iter().find(|(known, _, _)| *known == wanted)
}

/// Step, Chinese, English.
const STEPS: &[Named] = &[
    ("CaseRegistered", "诉求登记", "Registered"),
    ("CaseAccepted", "受理", "Taken in"),
    ("CaseDeclined", "不予受理", "Not accepted"),
    ("CaseSupplementRequested", "要求补正", "Supplement asked for"),
    ("CaseSupplemented", "补正材料", "Supplement came in"),
    ("CaseMerged", "并单", "Merged into another case"),
    ("CaseUnmerged", "取消并单", "Merge undone"),
    ("CaseRejoined", "并入的诉求有变", "Belongs to another case now"),
    ("CaseHandedOff", "转专线", "Handed off to its line"),
    ("CaseReturnedFromReferral", "转出后退回", "Came back from the other system"),
    ("CaseAnswered", "窗口答复", "Answered at the window"),
    ("CaseTriaged", "研判", "Triaged"),
    ("SubjectCleared", "取消被诉单位", "Complains of nobody any more"),
    ("CasePlaceFollowed", "地点随单元撤并变更", "Place follows its unit"),
    ("CaseSolvedOnSpot", "现场处置", "Put right on the spot"),
    ("CasePutRightOnPatrol", "巡查中处置", "Put right on patrol"),
    ("CaseFoundAgainOnPatrol", "巡查再次发现", "Found again on patrol"),
    ("CaseLinkedToTopic", "关联专题工单", "Linked to a topic case"),
    ("CaseOffered", "邀请伙伴", "Partner invited"),
    ("CaseOfferConfirmed", "伙伴接受邀请", "Invitation accepted"),
    ("CaseOfferWithdrawn", "邀请终止", "Invitation ended"),
    ("CaseReturnedFromSociety", "转由政府接办", "Public service takes over"),
    ("PartnerDone", "伙伴完成", "Partner has done its part"),
    ("CaseDispatched", "派单", "Dispatched"),
    ("CaseRedispatched", "异议后派单", "Dispatched after an objection"),
    ("CaseRecalled", "撤回派单", "Dispatch recalled"),
    ("CaseContacted", "首次联系诉求人", "First contact"),
    ("CaseSuspended", "挂起", "Suspended"),
    ("CaseResumed", "恢复办理", "Goes on"),
    ("CaseExtended", "延长办结时限", "Limit extended"),
    ("CaseStageCompleted", "完成一个阶段", "Stage completed"),
    ("CaseCompleted", "办理完成", "Work completed"),
    ("CaseRemarked", "留言", "Remark"),
    ("JoinedRemarked", "并入诉求的留言", "Remark in a merged case"),
    ("CallbackRecorded", "回访记录", "Call-back recorded"),
    ("VerificationStarted", "开始核查", "Verification begun"),
    ("CaseVerified", "核查通过", "Verified"),
    ("CaseReworkOrdered", "返工", "Rework ordered"),
    ("CaseClosed", "结案", "Closed"),
    ("CaseReopened", "重新打开", "Reopened"),
    ("CaseWithdrawn", "诉求人撤回", "Withdrawn by the requester"),
    ("CaseArchived", "归档", "Archived"),
    ("TaskIssued", "下达任务", "Task issued"),
    ("TaskSigned", "签收任务", "Task signed for"),
    ("TaskObjected", "提出派单异议", "Objection to the dispatch"),
    ("TaskObjectionRejected", "异议不成立", "Objection rejected"),
    ("ObjectionLapsed", "异议随案终止", "Objection lapsed with the case"),
    ("TaskCancelled", "任务取消", "Task cancelled"),
    ("TaskDeclined", "谢绝任务", "Task declined"),
    ("AdmissionRefusedByCommunity", "社区退回未准入事项", "Sent back as not admitted"),
    ("TaskSubmitted", "提交办理结果", "Result handed in"),
    ("TaskReturned", "退回办理结果", "Result sent back"),
    ("TaskApproved", "认可办理结果", "Result approved"),
    ("TaskReported", "报到", "Reported in"),
    ("TaskAppraised", "吹哨报到考核", "Whistle judged"),
    ("ArbitrationOpened", "提请裁定", "Arbitration opened"),
    ("ArbitrationPositionTaken", "当事单位陈述意见", "Position taken"),
    ("ArbitrationReviewRequested", "申请复核裁定", "Review of the ruling asked for"),
    ("ArbitrationAgreed", "协商一致", "Parties agreed"),
    ("ArbitrationRuled", "裁定", "Ruled"),
    ("ArbitrationFinal", "裁定生效", "Ruling final"),
    ("SupervisionIssued", "催办或督办", "Reminder or supervision"),
    ("SupervisionAcknowledged", "签收督办", "Supervision acknowledged"),
    ("SupervisionAnswered", "答复督办", "Supervision answered"),
    ("SupervisionEscalated", "督办升级", "Supervision raised"),
    ("SupervisionCleared", "督办销号", "Supervision cleared"),
    ("SupervisionMoved", "督办期限顺延", "Supervision has longer"),
    ("ClockWarned", "时限提醒", "Reminded of a limit"),
    ("ClockBreached", "时限已过", "Limit passed"),
    ("ClockMoved", "时限顺延", "Limit moved later"),
    ("RatingReceived", "收到评价", "Rating received"),
    ("RatingJudged", "差评核实", "Bad rating judged"),
    ("RatingRectified", "差评整改", "Bad rating put right"),
    ("JoinedRatingValid", "并入诉求的差评属实", "Bad rating of a merged case is valid"),
    ("ApplicationAccepted", "申请受理", "Application taken in"),
    ("ApplicationInvestigationStarted", "开始调查核实", "Investigation begun"),
    ("ApplicationInvestigated", "调查核实", "Facts checked"),
    ("ApplicationReviewed", "审核", "Reviewed"),
    ("ApplicationReviewReturned", "退回重新审核", "Review sent back"),
    ("ApplicationNoticed", "公示", "Public notice begun"),
    ("ApplicationObjected", "公示异议", "Objection to the notice"),
    ("ApplicationNoticeEnded", "公示期满", "Public notice over"),
    ("ApplicationNoticeProlonged", "公示延长", "Public notice prolonged"),
    ("ApplicationDecided", "作出决定", "Decided"),
    ("ApplicationDelivered", "兑现", "Delivered"),
    ("ApplicationPapersSubmitted", "补齐手续", "Papers came in"),
    ("ApplicationPapersMoved", "补齐手续期限顺延", "Papers have longer"),
    ("ApplicationRecheckBegun", "开始复核", "Re-check begun"),
    ("BenefitEnded", "待遇终止", "Benefit ended"),
    ("MediationOverdue", "调解逾期", "Mediation overdue"),
    ("TicketRemarked", "其他系统补充内容", "Another system added to it"),
    ("ReferralReported", "其他系统反馈办理状态", "Another system reported"),
    ("ReferralUndelivered", "转出件或其补充未能送达", "The referral, or words to it, did not get through"),
];

/// Grounds by code, Chinese, English.
const GROUNDS: &[Named] = &[
    ("not_competent", "不属于本单位职责", "Not within its competence"),
    ("wrong_place", "地点不在本辖区", "The place is outside its area"),
    ("wrong_item", "事项归类有误", "The item is wrongly classified"),
    ("duty_unclear", "职责不清，需明确主办单位", "The duty is unclear and needs a ruling"),
    (
        "several_units",
        "涉及多个单位，应明确主协办",
        "Several units are involved; lead and assist must be set",
    ),
    ("not_admitted", "未经准入的社区工作事项", "A community task that was never admitted"),
    ("recusal", "本单位是被投诉对象，应当回避", "It is the subject of the complaint and must step aside"),
    ("duplicate", "与在办事项重复", "Duplicates a matter already in hand"),
    (
        "other_procedure",
        "已进入诉讼、仲裁、复议等法定程序",
        "Already in litigation, arbitration or reconsideration",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The closed list of those who object.
    const LIST: &str = include_str!("../../../case-routing/seed/objection_grounds.toml");

    /// What is noted beside the events, a step a line.
    const NOTED: &str = include_str!("../../../case-routing/src/domain/noted.rs");

    #[test]
    fn every_event_of_a_case_has_a_name() {
        let mut seen = 0;
        for message in proto::pool().all_messages() {
            // What tells of a case brings its facts, and stands in its timeline.
            if message.package_name() != "jianghan.case_routing.v1"
                || message.get_field_by_name("facts").is_none()
            {
                continue;
            }
            seen += 1;
            assert_ne!(step(message.name(), Lang::Zh), message.name(), "{} has no name", message.name());
        }
        assert!(seen > 70, "the events are not where they were: {seen}");
        assert_eq!(step("CaseDispatched", Lang::Zh), "派单");
        assert_eq!(step("CaseDispatched", Lang::En), "Dispatched");
        assert_eq!(step("SomethingNew", Lang::Zh), "SomethingNew");
    }

    #[test]
    fn every_step_that_is_no_event_has_a_name() {
        let steps: Vec<&str> = NOTED
            .lines()
            .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix(',')?.strip_suffix('"'))
            .collect();
        assert!(steps.len() >= 12 && steps.contains(&"JoinedRemarked"), "{steps:?}");
        for code in steps {
            let (zh, en) = (step(code, Lang::Zh), step(code, Lang::En));
            assert!(zh != code && en != code && zh != en, "{code} has no name");
        }
    }

    #[test]
    fn every_ground_of_the_list_has_its_name() {
        let codes: Vec<&str> =
            LIST.lines().filter_map(|line| line.strip_prefix("code = \"")?.strip_suffix('"')).collect();
        assert!(codes.len() >= 9, "{codes:?}");
        for code in codes {
            let (zh, en) = (ground(code, Lang::Zh), ground(code, Lang::En));
            assert!(zh != code && en != code && zh != en, "{code} has no name");
            assert!(LIST.contains(&format!("zh = \"{zh}\"")), "{code} has another name there");
        }
        assert_eq!(ground("something_new", Lang::Zh), "something_new");
    }

    #[test]
    fn no_step_and_no_ground_is_named_twice() {
        for table in [STEPS, GROUNDS] {
            for (n, (code, zh, en)) in table.iter().enumerate() {
                assert!(!zh.is_empty() && !en.is_empty(), "{code}");
                assert!(table[..n].iter().all(|(other, _, _)| other != code), "{code} is named twice");
            }
        }
    }
}
