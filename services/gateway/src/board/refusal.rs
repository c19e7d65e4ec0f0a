//! Pages that say why there is nothing else to show: what was refused, who has no session, and what is away. What was written into
//! a form is shown again, so that it is not lost.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use tonic::Code;
use tonic_types::{BadRequest, StatusExt};

use super::{
    lang::Lang,
    links::Links,
    session::Closed,
    view::{known_field, render, sign_in_for},
};

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    message: &'a str,
    /// What somebody wrote into a form that was refused.
    written: &'a str,
    /// The sign-in form, for whom it is; empty where it is for nobody.
    sign_in: &'a str,
}

/// Refusals that services name by a code, as forms tell them: code, Chinese, English.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "not_heard",
        "街道或社区尚未表示意见，现在还不能评估。",
        "The street or the community has not been heard yet: it cannot be assessed now.",
    ),
    (
        "own_request",
        "这是本部门提出的，不能由本部门评估。",
        "Your own department proposed it: it is for somebody else to assess.",
    ),
    (
        "two_persons",
        "须由另一人办理：提出的人不能自己评估。",
        "Another person has to do this: whoever proposed it does not assess it.",
    ),
    ("too_late", "期限已过，不能再办理。", "The time for this is over."),
    (
        "own_channel",
        "该事项有专门渠道（申请、紧急或法定程序），不能立专题。",
        "The item has a channel of its own (applications, emergencies, statutory procedures): no topic case \
         is opened for it.",
    ),
];

/// The page that says why there is none, never in the service's own words. `form`: what was written into the form that was
/// refused.
pub fn refused(lang: Lang, path: &str, links: Links, status: &tonic::Status, form: Option<&str>) -> Response {
    let wrong = wrong_fields(status, lang);
    let (code, message) = match status.code() {
        Code::Unauthenticated => return closed(lang, path, links, Closed::SignedOut, form),
        Code::NotFound => (
            StatusCode::NOT_FOUND,
            lang.t("没有找到，或不在您的范围内。", "Not found, or not within your reach."),
        ),
        Code::PermissionDenied if form.is_some() => {
            (StatusCode::FORBIDDEN, lang.t("您不能办理此事。", "This is not for you to do."))
        }
        Code::PermissionDenied => {
            (StatusCode::FORBIDDEN, lang.t("您的岗位不能查看此页。", "Your role may not see this page."))
        }
        Code::InvalidArgument => (
            StatusCode::BAD_REQUEST,
            wrong.as_deref().unwrap_or(lang.t("请求有误。", "The request is not valid.")),
        ),
        Code::FailedPrecondition | Code::Aborted => (
            StatusCode::CONFLICT,
            by_code(status, lang).unwrap_or(lang.t(
                "情况已经变化，请返回重新查看。",
                "Things have changed meanwhile: go back and look again.",
            )),
        ),
        _ => away(lang),
    };
    let written = form.unwrap_or_default();
    (code, render(&MessagePage { lang, path, links, message, written, sign_in: "" })).into_response()
}

/// The sentence of a refusal that the service names by a code; nothing where it names none that is known here.
fn by_code(status: &tonic::Status, lang: Lang) -> Option<&'static str> {
    let details = status.get_error_details();
    let code = details.error_info()?.metadata.get("code")?;
    REFUSALS.iter().find(|(known, _, _)| known == code).map(|(_, zh, en)| lang.t(zh, en))
}

/// Which fields of a form a service does not take, in words; nothing where it names none that a form has.
fn wrong_fields(status: &tonic::Status, lang: Lang) -> Option<String> {
    let details = status.get_error_details();
    let violations = &details.bad_request()?.field_violations;
    let fields: Vec<String> = violations.iter().filter_map(|wrong| known_field(&wrong.field, lang)).collect();
    (!fields.is_empty()).then(|| match lang {
        Lang::Zh => format!("填写有误：{}。", fields.join("、")),
        Lang::En => format!("Not valid: {}.", fields.join(", ")),
    })
}

/// Whether a service does not take this field.
pub fn is_wrong(status: &tonic::Status, field: &str) -> bool {
    let details = status.get_error_details();
    let names = |bad: &BadRequest| bad.field_violations.iter().any(|wrong| wrong.field == field);
    status.code() == Code::InvalidArgument && details.bad_request().is_some_and(names)
}

/// The page that says why there is nothing else to show.
pub fn told(lang: Lang, path: &str, links: Links, code: StatusCode, message: &str) -> Response {
    (code, render(&MessagePage { lang, path, links, message, written: "", sign_in: "" })).into_response()
}

/// What is answered to somebody without a session: a page leads to the sign-in form and back; of a form (`form`) what was written is
/// shown again, because no browser would bring it back from there.
pub fn closed(lang: Lang, path: &str, links: Links, closed: Closed, form: Option<&str>) -> Response {
    let sign_in = sign_in_for(path);
    match (closed, form) {
        (Closed::SignedOut, None) => Redirect::to(&sign_in).into_response(),
        (Closed::SignedOut, Some(written)) => {
            let message = lang.t(
                "登录已结束，没有提交，请重新登录。",
                "You are not signed in any more and nothing was sent: sign in again.",
            );
            let links = Links::default();
            let page = MessagePage { lang, path, links, message, written, sign_in: &sign_in };
            (StatusCode::UNAUTHORIZED, render(&page)).into_response()
        }
        (Closed::Away, form) => {
            let (code, message) = away(lang);
            let written = form.unwrap_or_default();
            (code, render(&MessagePage { lang, path, links, message, written, sign_in: "" })).into_response()
        }
    }
}

fn away(lang: Lang) -> (StatusCode, &'static str) {
    let message =
        lang.t("服务暂时没有应答，请稍后再试。", "The service does not answer just now; try again shortly.");
    (StatusCode::SERVICE_UNAVAILABLE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_forms_that_were_refused_are_named_in_words_and_no_others() {
        let mut details = tonic_types::ErrorDetails::new();
        details.add_bad_request_violation("record_ref", "SELECT 1");
        details.add_bad_request_violation("unit_id", "must be an id");
        let status = tonic::Status::with_error_details(Code::InvalidArgument, "x", details);
        assert_eq!(wrong_fields(&status, Lang::Zh).as_deref(), Some("填写有误：培训记录编号。"));
        let english = wrong_fields(&status, Lang::En);
        assert_eq!(english.as_deref(), Some("Not valid: Record of the courses."));
        assert!(is_wrong(&status, "unit_id") && !is_wrong(&status, "query"));
        let mut details = tonic_types::ErrorDetails::new();
        details.add_bad_request_violation("unit_id", "must be an id");
        let status = tonic::Status::with_error_details(Code::InvalidArgument, "x", details);
        assert_eq!(wrong_fields(&status, Lang::En), None, "no form has it");
        assert_eq!(wrong_fields(&tonic::Status::invalid_argument("x"), Lang::En), None);
    }

    #[test]
    fn a_refusal_that_a_service_names_has_a_sentence_of_its_own_in_both_languages() {
        for (n, (code, zh, en)) in REFUSALS.iter().enumerate() {
            assert!(!zh.is_empty() && zh != en, "{code}");
            assert!(REFUSALS[..n].iter().all(|(other, _, _)| other != code), "{code} is there twice");
            let status = tonic::Status::from(chassis::Error::barred("duty", "d1", *code, "SELECT 1"));
            assert_eq!([Lang::Zh, Lang::En].map(|lang| by_code(&status, lang)), [Some(*zh), Some(*en)]);
        }
        let other = tonic::Status::from(chassis::Error::barred("duty", "d1", "transfer_state", "x"));
        assert_eq!(by_code(&other, Lang::Zh), None);
        assert_eq!(by_code(&tonic::Status::aborted("x"), Lang::Zh), None);
    }
}
