//! The words of what the arguments of reasons hold, as far as those are codes of ours: a sentence is no place for them. Lines and
//! materials are a district's own codes: the common ones have words, others stand for themselves.

use std::borrow::Cow;

use super::reason::Language;

/// Argument, code, Chinese, English.
const TERMS: &[(&str, &str, &str, &str)] = &[
    ("urgency", "normal", "一般", "normal"),
    ("urgency", "urgent", "紧急", "urgent"),
    ("urgency", "emergency", "突发", "an emergency"),
    ("outcome", "reached", "已联系上", "reached"),
    ("outcome", "unreached", "未联系上", "not reached"),
    ("outcome", "not_due", "无需回访", "not due"),
    ("measure", "stop_gap", "应急处置", "a stop-gap"),
    ("measure", "fence_off", "围挡警示", "fencing it off"),
    ("channel", "litigation", "诉讼", "the courts"),
    ("channel", "arbitration", "仲裁", "arbitration"),
    ("channel", "reconsideration", "行政复议", "administrative reconsideration"),
    ("channel", "discipline", "纪检监察", "discipline inspection"),
    ("channel", "petition", "信访", "petitions"),
    ("channel", "info_disclosure", "政府信息公开", "information disclosure"),
    ("channel", "home_district_hotline", "属地热线", "the hotline of its own district"),
    ("channel", "window", "服务窗口", "the window"),
    ("mode", "order", "交办", "an order"),
    ("mode", "whistle", "吹哨", "a whistle"),
    ("mode", "assist_request", "协助请求", "an assist request"),
    ("mode", "work_order", "购买工单", "a work order"),
    ("mode", "invitation", "邀请", "an invitation"),
    ("clock", "accept", "受理", "acceptance"),
    ("clock", "supplement", "补正", "supplement"),
    ("clock", "dispatch", "派单", "dispatch"),
    ("clock", "offer", "协商", "offer"),
    ("clock", "sign", "签收", "signing"),
    ("clock", "objection", "异议", "objection"),
    ("clock", "contact", "首次联系", "first contact"),
    ("clock", "resolve", "办结", "resolution"),
    ("clock", "rework", "返工", "rework"),
    ("clock", "assist", "协办", "assist"),
    ("clock", "verify", "核查", "verification"),
    ("clock", "rating_window", "评价期", "rating"),
    ("clock", "consult", "协商", "consultation"),
    ("clock", "ruling", "裁定", "ruling"),
    ("clock", "report", "报到", "report-in"),
    ("clock", "judge", "差评核实", "judgement"),
    ("clock", "stage", "分段处置", "stage"),
    ("line", "agriculture", "农业农村", "agriculture and rural affairs"),
    ("line", "civil_affairs", "民政", "civil affairs"),
    ("line", "commerce", "商务", "commerce"),
    ("line", "construction", "建设", "construction"),
    ("line", "culture_tourism", "文化和旅游", "culture and tourism"),
    ("line", "data", "政务服务和数据", "government services and data"),
    ("line", "discipline", "纪检监察", "discipline inspection"),
    ("line", "education", "教育", "education"),
    ("line", "emergency", "应急管理", "emergency management"),
    ("line", "environment", "生态环境", "ecology and environment"),
    ("line", "finance", "财政", "finance"),
    ("line", "fire", "消防救援", "fire and rescue"),
    ("line", "general_office", "综合协调", "general office"),
    ("line", "health", "卫生健康", "health"),
    ("line", "housing", "住房保障和房屋管理", "housing"),
    ("line", "human_resources", "人力资源和社会保障", "human resources and social security"),
    ("line", "justice", "司法行政", "justice"),
    ("line", "landscaping", "园林", "parks and landscaping"),
    ("line", "market_regulation", "市场监管", "market regulation"),
    ("line", "medical_insurance", "医疗保障", "medical insurance"),
    ("line", "petition", "信访", "petitions"),
    ("line", "planning", "自然资源和规划", "natural resources and planning"),
    ("line", "public_security", "公安", "public security"),
    ("line", "tax", "税务", "taxation"),
    ("line", "transport", "交通运输", "transport"),
    ("line", "urban_management", "城市管理执法", "urban management and law enforcement"),
    ("line", "veterans", "退役军人事务", "veterans affairs"),
    ("line", "water", "水务", "water"),
    ("materials", "application_form", "申请表", "application form"),
    ("materials", "authorisation", "授权书", "written authority"),
    ("materials", "bank_account", "银行账户", "bank account"),
    ("materials", "contact_detail", "联系方式", "contact details"),
    ("materials", "diagnosis", "诊断证明", "diagnosis"),
    ("materials", "disability_card", "残疾人证", "disability certificate"),
    ("materials", "hardship_statement", "困难情况说明", "statement of hardship"),
    ("materials", "household_register", "户口簿", "household register"),
    ("materials", "housing_proof", "住房状况证明", "proof of housing"),
    ("materials", "id_card", "身份证", "identity card"),
    ("materials", "id_copy", "身份证复印件", "copy of the identity card"),
    ("materials", "income_proof", "收入证明", "proof of income"),
    ("materials", "labour_contract", "劳动合同", "labour contract"),
    ("materials", "medical_record", "病历资料", "medical records"),
    ("materials", "ownership_proof", "权属证明", "proof of ownership"),
    ("materials", "photo", "照片", "photo"),
    ("materials", "place_detail", "具体地点", "exact place"),
    ("materials", "residence_proof", "居住证明", "proof of residence"),
    ("materials", "student_proof", "学籍证明", "proof of enrolment"),
    ("materials", "wage_record", "工资支付记录", "record of wages"),
];

/// The argument that holds the codes of materials, and what parts them.
const MATERIALS: &str = "materials";
pub(super) const BETWEEN: &str = ", ";

/// Argument, Chinese, English: what it is, beside the text of a list that does not name it.
const LABELS: &[(&str, &str, &str)] =
    &[("channel", "已告知途径", "told of"), ("told_ref", "书面告知", "told in writing")];

/// The Chinese and the English word for a code that an argument holds.
fn words(argument: &str, code: &str) -> Option<(&'static str, &'static str)> {
    let known = TERMS.iter().find(|(of, known, _, _)| (*of, *known) == (argument, code));
    known.map(|(_, _, zh, en)| (*zh, *en))
}

/// What a material is called in Chinese and in English; nothing for a code that is none of the common ones.
#[must_use]
pub fn material_names(code: &str) -> Option<(&'static str, &'static str)> {
    words(MATERIALS, code)
}

/// The word for what an argument holds, for each where it holds several; what is none of our codes stands for itself.
pub(super) fn term<'v>(argument: &str, value: &'v str, language: Language) -> Cow<'v, str> {
    let word = |code: &'v str| words(argument, code).map_or(code, |(zh, en)| language.of(zh, en));
    if argument != MATERIALS {
        return Cow::Borrowed(word(value));
    }
    let all: Vec<&str> = value.split(BETWEEN).map(word).collect();
    Cow::Owned(all.join(language.of("、", BETWEEN)))
}

/// An argument beside a text.
pub(super) fn beside(argument: &str, value: &str, language: Language) -> String {
    let word = term(argument, value, language);
    match (LABELS.iter().find(|(of, _, _)| *of == argument), language) {
        (Some((_, zh, _)), Language::Chinese) => format!("{zh}：{word}"),
        (Some((_, _, en)), Language::English) => format!("{en}: {word}"),
        (None, _) => format!("{argument}={word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::{CallbackOutcome, ClockKind, DispatchMode, Urgency};
    use super::*;

    #[test]
    fn every_code_of_the_closed_vocabularies_has_its_word_in_both_languages_once() {
        let urgencies = Urgency::ALL.iter().map(|code| ("urgency", code.as_str()));
        let outcomes = CallbackOutcome::ALL.iter().map(|code| ("outcome", code.as_str()));
        let modes = DispatchMode::ALL.iter().map(|code| ("mode", code.as_str()));
        let clocks = ClockKind::ALL.iter().map(|code| ("clock", code.as_str()));
        for (argument, code) in urgencies.chain(outcomes).chain(modes).chain(clocks) {
            let [zh, en] = [Language::Chinese, Language::English].map(|lang| term(argument, code, lang));
            assert!(zh != code && zh != en, "{argument} {code}");
        }
        for (n, (argument, code, zh, en)) in TERMS.iter().enumerate() {
            assert!(!zh.is_ascii() && en.is_ascii(), "{argument} {code}");
            let same = |(of, other, _, _): &(&str, &str, &str, &str)| of == argument && other == code;
            assert!(!TERMS[..n].iter().any(same), "{argument} {code} has two words");
        }
        assert_eq!(term("urgency", "litigation", Language::Chinese), "litigation", "of another argument");
    }

    #[test]
    fn every_material_of_a_list_has_its_word_and_a_code_of_a_districts_own_stands_for_itself() {
        let listed = "id_card, own_paper, photo";
        assert_eq!(term("materials", listed, Language::Chinese), "身份证、own_paper、照片");
        assert_eq!(term("materials", listed, Language::English), "identity card, own_paper, photo");
        assert_eq!(material_names("id_card"), Some(("身份证", "identity card")));
        assert_eq!((material_names("own_paper"), material_names("housing")), (None, None));
    }
}
