//! What parties are told when a mediation ends without its purpose: why, and which way is open now (人民调解法 arts. 26,
//! 32, 33).

use super::super::reason::Reason;
use super::codes::ConfirmationState;

/// Not mediated, or not agreed: the other channels.
pub fn channels(reason_code: &str) -> Reason {
    Reason::new("mediation_channels").with("reason", reason_code)
}

/// Agreed, and not performed: the court. What was confirmed can be enforced.
pub fn court(reason_code: &str, confirmation: Option<ConfirmationState>) -> Reason {
    let code = match confirmation {
        Some(ConfirmationState::Confirmed) => "mediation_enforcement",
        _ => "mediation_court",
    };
    Reason::new(code).with("reason", reason_code)
}

/// The court did not confirm, or did not take it.
pub fn not_confirmed(state: ConfirmationState) -> Reason {
    Reason::new(match state {
        ConfirmationState::NotAccepted => "confirmation_not_accepted",
        _ => "confirmation_refused",
    })
}

/// Code, Chinese, English.
pub const TEXTS: &[(&str, &str, &str)] = &[
    (
        "mediation_channels",
        "调解未成（{reason}）。当事人可依法通过仲裁、行政途径处理，或向人民法院起诉",
        "no mediation ({reason}): arbitration, the administration or a suit at court are open to the parties",
    ),
    (
        "mediation_court",
        "调解协议未履行（{reason}）。当事人可就协议的履行或内容向人民法院起诉",
        "the agreement is not performed ({reason}): the parties may sue at court about it",
    ),
    (
        "mediation_enforcement",
        "经司法确认的调解协议未履行（{reason}）。对方当事人可向人民法院申请强制执行",
        "the agreement confirmed by the court is not performed ({reason}): the other party may have it enforced",
    ),
    (
        "confirmation_not_accepted",
        "人民法院不予受理确认申请。调解协议仍有约束力，发生争议可向人民法院起诉",
        "the court does not take the request: the agreement still binds, and disputes about it can be taken to court",
    ),
    (
        "confirmation_refused",
        "人民法院不予确认。当事人可重新调解、变更协议，或向人民法院起诉",
        "the court did not confirm it: the parties may be mediated anew, or sue at court",
    ),
    (
        "mediation_overdue",
        "调解期限届满，当事人未达成协议：主办单位不必再等待调解，调解可以继续",
        "the parties did not agree by their day: the lead need not wait for them, though they may go on",
    ),
    (
        "mediation_day_passed",
        "调解的期限届满，请调解单位跟进",
        "a day of its mediation went by: whoever mediates sees to it",
    ),
    (
        "mediator_recused",
        "原调解单位系被诉单位，依法回避，由其他调解员接手",
        "whoever mediated is complained of and steps aside: another mediator takes it over",
    ),
    ("mediation_ended", "调解结束", "the mediation ended"),
    ("deadline_over", "{deadline} 期限届满", "the day for {deadline} is over"),
    (
        "deadline_moved",
        "{deadline} 期限末日 {from} 调整为休息日，顺延至 {to}",
        "the last day for {deadline}, {from}, became a rest day: it is {to} now",
    ),
    ("refused", "当事人不同意调解", "a party does not want mediation"),
    ("refused_to_perform", "当事人明确表示不履行", "a party says that it will not perform"),
    ("no_agreement", "未能达成协议", "no agreement was reached"),
    ("not_mediable", "不属于可调解范围", "the matter cannot be mediated"),
    ("case_ended", "案件已撤回、并入他案或终止", "its case was withdrawn, merged or ended"),
    ("party_absent", "当事人不到场或无法联系", "a party does not come or cannot be reached"),
];
