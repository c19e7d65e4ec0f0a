//! What the templates say in figures, times and reasons, and how a page becomes an answer.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use chassis::clock::new_id;
use chrono::{DateTime, FixedOffset};
use proto::{
    analytics::v1::{Count, IndicatorValue},
    case_routing::v1::{Case, Clock, ClockKind, ExternalTicket, GeoPoint, Reason, Supplement, SyncState},
};

use super::{lang::Lang, names::Names};

/// The page as an answer.
pub fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether somebody should look at how a ticket stands.
pub fn unsynced(ticket: &ExternalTicket) -> bool {
    matches!(ticket.sync_state(), SyncState::Failed | SyncState::Retrying)
}

/// The name of a field of a form; an unknown one is shown as it is.
pub fn field(name: &str, lang: Lang) -> String {
    known_field(name, lang).unwrap_or_else(|| name.to_owned())
}

/// The name of a field that a form has; nothing of another.
pub fn known_field(name: &str, lang: Lang) -> Option<String> {
    let code = format!("field_{name}");
    let known = lang.name(&code);
    (known != code).then_some(known)
}

/// The id of a form's request: sent twice, it is done once.
pub fn fresh() -> String {
    new_id().to_string()
}

/// The sign-in form, which leads on to where somebody wanted to go.
pub fn sign_in_for(path: &str) -> String {
    format!("/login?next={}", encoded(path))
}

/// Adds `Set-Cookie`s.
pub fn with_cookies(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// `93.72 %`, or a dash where nothing was counted.
pub fn percent(value: Option<&IndicatorValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(value) => format!("{:.2} %", value * 100.0),
        None => "—".to_owned(),
    }
}

/// `97.1 %`: how sure a classifier is.
pub fn probability(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// `东经 114.270000°，北纬 30.600000°`: a point as it is read out; nothing is loaded for it from anywhere.
pub fn coordinates(point: &GeoPoint, lang: Lang) -> String {
    let degrees = |e6: i32| {
        let e6 = e6.unsigned_abs();
        format!("{}.{:06}°", e6 / 1_000_000, e6 % 1_000_000)
    };
    let (longitude, latitude) =
        (point.longitude_e6.unwrap_or_default(), point.latitude_e6.unwrap_or_default());
    let east = if longitude < 0 { lang.t("西经", "W") } else { lang.t("东经", "E") };
    let north = if latitude < 0 { lang.t("南纬", "S") } else { lang.t("北纬", "N") };
    match lang {
        Lang::Zh => format!("{east} {}，{north} {}", degrees(longitude), degrees(latitude)),
        Lang::En => format!("{} {north}, {} {east}", degrees(latitude), degrees(longitude)),
    }
}

/// A bar's share in steps of five, as a class of the style sheet.
pub fn share(count: i64, total: i64) -> i64 {
    if total <= 0 { 0 } else { ((count * 20 + total - 1) / total).clamp(0, 20) * 5 }
}

/// All of them.
pub fn total(counts: &[Count]) -> i64 {
    counts.iter().map(|count| count.count).sum()
}

/// The English word for so many.
pub fn plural(count: i64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// The rate with a code.
pub fn rate<'a>(rates: &'a [IndicatorValue], code: &str) -> Option<&'a IndicatorValue> {
    rates.iter().find(|value| value.code == code)
}

/// Local time in Asia/Shanghai, which has no daylight saving.
pub fn local(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    let Some(zone) = FixedOffset::east_opt(8 * 3600) else { return String::new() };
    let nanos = u32::try_from(time.nanos).unwrap_or_default();
    DateTime::from_timestamp(time.seconds, nanos)
        .map(|time| time.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// A reason in the reader's language, with the names of the organisations that its arguments hold; the code where nobody wrote a
/// sentence.
pub fn reason_text(reason: &Reason, lang: Lang, names: &Names) -> String {
    let text = lang.t(reason.text_zh.as_str(), reason.text_en.as_str());
    if text.is_empty() {
        return reason.code.clone();
    }
    let mut text = text.to_owned();
    for value in reason.arguments.values() {
        if uuid::Uuid::try_parse(value).is_ok() {
            text = text.replace(value.as_str(), &names.of(value, lang));
        }
    }
    text
}

/// What came of a clock: its words, and whether somebody is to blame. A window that closes unused is no breach; what came after
/// its due time is one, also where nobody had noted it.
pub fn outcome(clock: &Clock, lang: Lang) -> (&'static str, bool) {
    use ClockKind::{Consult, Objection, Offer, RatingWindow};
    let window = matches!(clock.kind(), Objection | Offer | RatingWindow | Consult);
    let late = clock
        .stop_time
        .zip(clock.due_time)
        .is_some_and(|(stop, due)| (stop.seconds, stop.nanos) > (due.seconds, due.nanos));
    if clock.breach_time.is_some() || (late && !window) {
        let words = if window { lang.t("期满", "over") } else { lang.t("超期", "breached") };
        (words, !window)
    } else if clock.stop_time.is_some() {
        (lang.t("按时", "in time"), false)
    } else if clock.paused {
        (lang.t("暂停", "paused"), false)
    } else {
        (lang.t("计时中", "running"), false)
    }
}

/// What a service answers, or nothing where the reader may not see it or there is none: a page is not refused for a part.
///
/// # Errors
/// Any other failure.
pub fn permitted<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<Option<T>, tonic::Status> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if matches!(status.code(), tonic::Code::PermissionDenied | tonic::Code::NotFound) => {
            Ok(None)
        }
        Err(status) => Err(status),
    }
}

/// Yuan of an amount in fen.
pub fn yuan(fen: &i64) -> String {
    format!("{}.{:02}", fen / 100, fen.abs() % 100)
}

/// Whether anybody was called to a case by a whistle.
pub fn whistled(case: &Case) -> bool {
    case.tasks.iter().any(|task| task.whistle.is_some())
}

/// One side's judgement of a whistle; a dash until it is given.
pub fn judged(given: &bool, positive: &bool, lang: Lang) -> &'static str {
    match (given, positive) {
        (false, _) => "—",
        (true, true) => lang.t("是", "yes"),
        (true, false) => lang.t("否", "no"),
    }
}

/// Material of a supplement: whether it was asked for, and whether it came in.
#[derive(Debug, PartialEq, Eq)]
pub struct Material<'a> {
    /// What it is called; its code where that is none of the common ones.
    pub name: &'a str,
    /// It stands on the list.
    pub asked: bool,
    /// It was sent.
    pub sent: bool,
}

/// The list of a supplement in its order, then what came in besides.
pub fn materials(supplement: &Supplement, lang: Lang) -> Vec<Material<'_>> {
    let (asked, sent) = (&supplement.asked_material_codes, &supplement.sent_material_codes);
    let others = sent.iter().filter(|code| !asked.contains(code));
    let all = asked.iter().map(|code| (code, true)).chain(others.map(|code| (code, false)));
    let shown = all.map(|(code, asked)| Material {
        name: material_name(supplement, code, lang),
        asked,
        sent: sent.contains(code),
    });
    shown.collect()
}

fn material_name<'a>(supplement: &'a Supplement, code: &'a str, lang: Lang) -> &'a str {
    let known = supplement.materials.iter().find(|known| known.material_code == code);
    known.map_or(code, |known| lang.named(&known.name_zh, &known.name_en))
}

/// The name of a code that is a word of its kind: the state of an objection, the level of a supervision.
pub fn word(kind: &str, code: impl std::fmt::Display, lang: Lang) -> String {
    lang.name(format!("{kind}_{code}"))
}

/// The day in Asia/Shanghai.
pub fn day(time: Option<&prost_types::Timestamp>) -> String {
    local(time).split(' ').next().unwrap_or_default().to_owned()
}

/// The last day of what holds until an instant, which itself is after it.
pub fn last_day(until: Option<&prost_types::Timestamp>) -> String {
    let whole = |until: &prost_types::Timestamp| until.seconds.saturating_sub(i64::from(until.nanos == 0));
    let before = until.map(|until| prost_types::Timestamp { seconds: whole(until), nanos: 0 });
    day(before.as_ref())
}

/// Numbers of tasks by id, for the timeline.
pub fn task_numbers(case: &Case) -> BTreeMap<&str, &str> {
    case.tasks.iter().map(|task| (task.task_id.as_str(), task.task_no.as_str())).collect()
}

/// Percent-encodes a value for a query of our own.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_decimals_and_a_dash_for_an_empty_denominator() {
        let value = IndicatorValue { value: Some(0.93718), ..Default::default() };
        assert_eq!(percent(Some(&value)), "93.72 %");
        assert_eq!(percent(Some(&IndicatorValue::default())), "—");
        assert_eq!(percent(None), "—");
    }

    #[test]
    fn a_window_that_closes_unused_is_no_breach() {
        let at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let breached = |kind: ClockKind| Clock { kind: kind.into(), breach_time: at, ..Default::default() };
        assert_eq!(outcome(&breached(ClockKind::RatingWindow), Lang::Zh), ("期满", false));
        assert_eq!(outcome(&breached(ClockKind::Resolve), Lang::Zh), ("超期", true));
        let stopped = Clock { stop_time: at, ..Default::default() };
        assert_eq!(outcome(&stopped, Lang::En), ("in time", false));
    }

    #[test]
    fn what_came_after_its_due_time_is_late_though_nobody_noted_it() {
        let time = |nanos| Some(prost_types::Timestamp { seconds: 1, nanos });
        let stopped = |kind: ClockKind, nanos| Clock {
            kind: kind.into(),
            due_time: time(1_000),
            stop_time: time(nanos),
            ..Default::default()
        };
        assert_eq!(outcome(&stopped(ClockKind::Accept, 1_000), Lang::Zh), ("按时", false));
        assert_eq!(outcome(&stopped(ClockKind::Accept, 2_000), Lang::Zh), ("超期", true));
        assert_eq!(outcome(&stopped(ClockKind::Offer, 2_000), Lang::En), ("in time", false));
    }

    #[test]
    fn a_reason_leaves_what_nobody_knows_and_says_no_word_of_its_sentence_otherwise() {
        let org = "01939f5e-7a00-7000-8000-000000000004";
        let arguments = [("clock", "sign"), ("org", org), ("percent", "50")];
        let reason = Reason {
            code: "clock_reminder".into(),
            arguments: arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            text_zh: format!("催办 {org}：签收 时限已过 50%"),
            text_en: format!("{org} is reminded: 50 % of the signing limit has run"),
        };
        let names = Names::default();
        for (lang, text) in [(Lang::Zh, &reason.text_zh), (Lang::En, &reason.text_en)] {
            assert_eq!(reason_text(&reason, lang, &names), *text);
        }
        let silent = Reason { text_en: String::new(), ..reason };
        assert_eq!(reason_text(&silent, Lang::En, &names), "clock_reminder", "nobody wrote a sentence");
    }

    #[test]
    fn a_point_is_told_in_degrees_with_its_side_of_the_world() {
        let point =
            |longitude, latitude| GeoPoint { longitude_e6: Some(longitude), latitude_e6: Some(latitude) };
        assert_eq!(
            coordinates(&point(114_270_123, 30_600_456), Lang::Zh),
            "东经 114.270123°，北纬 30.600456°"
        );
        assert_eq!(coordinates(&point(-5, -90_000_000), Lang::En), "90.000000° S, 0.000005° W");
    }

    #[test]
    fn bars_come_in_steps_of_five_and_nothing_is_hidden() {
        assert_eq!((share(0, 10), share(1, 1000), share(5, 10), share(10, 10)), (0, 5, 50, 100));
        assert_eq!(share(1, 0), 0);
    }

    #[test]
    fn times_are_those_of_wuhan() {
        let time = prost_types::Timestamp { seconds: 1_772_413_200, nanos: 0 };
        assert_eq!(local(Some(&time)), "2026-03-02 09:00");
        assert_eq!(local(None), "");
    }

    #[test]
    fn what_holds_until_midnight_has_the_day_before_as_its_last() {
        let midnight = 1_803_830_400; // 2027-03-01T00:00:00+08:00
        let last = |seconds, nanos| last_day(Some(&prost_types::Timestamp { seconds, nanos }));
        assert_eq!(last(midnight, 0), "2027-02-28");
        assert_eq!(last(midnight, 1_000), "2027-03-01");
        assert_eq!(last(midnight + 1, 0), "2027-03-01");
        assert_eq!(last_day(None), "");
    }

    #[test]
    fn one_is_told_in_the_singular() {
        let day = |count| plural(count, "day", "days");
        assert_eq!([day(0), day(1), day(2)], ["days", "day", "days"]);
    }

    #[test]
    fn amounts_are_told_in_yuan_and_unknown_words_as_they_are() {
        assert_eq!((yuan(&80_005), yuan(&7)), ("800.05".to_owned(), "0.07".to_owned()));
        assert_eq!(word("supervision_level", 2, Lang::Zh), "二级督办");
        assert_eq!(word("objection_state", "new", Lang::En), "objection_state_new");
    }

    #[test]
    fn the_list_of_a_supplement_says_what_is_missing_still() {
        fn row(name: &str, asked: bool, sent: bool) -> Material<'_> {
            Material { name, asked, sent }
        }
        let codes = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
        let photo = proto::case_routing::v1::Material {
            material_code: "photo".into(),
            name_zh: "照片".into(),
            name_en: "photo".into(),
        };
        let mut list = Supplement {
            asked_material_codes: codes(&["own_paper", "photo"]),
            materials: vec![photo],
            ..Default::default()
        };
        assert_eq!(materials(&list, Lang::Zh), [row("own_paper", true, false), row("照片", true, false)]);
        assert_eq!(materials(&list, Lang::En)[1].name, "photo");
        list.sent_material_codes = codes(&["map", "photo"]);
        assert_eq!(
            materials(&list, Lang::Zh),
            [row("own_paper", true, false), row("照片", true, true), row("map", false, true)]
        );
    }

    #[test]
    fn only_what_a_reader_may_not_see_is_left_out() {
        let answer = |status: tonic::Status| permitted::<()>(Err(status));
        assert!(matches!(answer(tonic::Status::permission_denied("")), Ok(None)));
        assert!(matches!(answer(tonic::Status::not_found("")), Ok(None)));
        assert!(answer(tonic::Status::unavailable("")).is_err());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("a b&c=江"), "a%20b%26c%3D%E6%B1%9F");
    }
}
