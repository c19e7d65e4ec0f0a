//! The dashboard of a duty in force: the five arrivals (五个到社区), each with its verdict and the figures it rests on. Three
//! services are asked with the reader's token, each for what it knows; who may not see a part is told so.

use futures::future::join_all;
use proto::{
    analytics::v1::{QueryIndicatorsRequest, indicator_service_client::IndicatorServiceClient},
    case_routing::v1::{
        ArrivalState, DutyArrivals, FundsArrival, GetDutyArrivalsRequest, ItemArrival, LegState, Limit,
        LimitUnit, StaffArrival, duty_service_client::DutyServiceClient,
    },
    staffing::v1::{
        GetDutyDemandRequest, GetDutyDemandResponse, duty_resource_service_client::DutyResourceServiceClient,
    },
};

use super::{
    five::{self, CODES, Figures, Part, Verdict},
    lang::Lang,
    session::Session,
    view::{local, permitted, plural, word, yuan},
};
use crate::App;

/// The dashboard, in the reader's language.
pub struct Arrivals {
    /// First day since which the duty has been in force without a break.
    pub since: String,
    /// The five, in their order.
    pub rows: Vec<Row>,
    /// What there is of each item.
    pub items: Vec<ItemRow>,
    /// Why figures of the place are not for this reader; empty where they are.
    pub note: &'static str,
}

/// One of the five.
pub struct Row {
    pub name: &'static str,
    pub state: String,
    /// It should be there and is not.
    pub missing: bool,
    /// In words; empty where it has come.
    pub reason: String,
    pub figures: Vec<String>,
}

/// One item of the duty.
pub struct ItemRow {
    pub code: String,
    pub rule_id: String,
    pub listed_from: String,
    pub promised: String,
    pub statutory: String,
    /// Came, closed, open, on time, ratings, good, satisfied; dashes where nothing is told.
    pub figures: Vec<String>,
}

/// The dashboard of a duty; nothing where the reader may not see it, or when it is not in force just now.
///
/// # Errors
/// When case-routing does not answer.
pub async fn of(
    app: &App,
    session: &Session,
    duty_id: &str,
    lang: Lang,
) -> Result<Option<Arrivals>, tonic::Status> {
    let request = session.request(GetDutyArrivalsRequest { duty_id: duty_id.to_owned() })?;
    let mut client = DutyServiceClient::new(app.channel("case-routing"));
    let told = match client.get_duty_arrivals(request).await {
        // It went out of force while the page was made.
        Err(status) if status.code() == tonic::Code::FailedPrecondition => None,
        answer => permitted(answer)?.and_then(|answer| answer.arrivals),
    };
    let Some(told) = told else { return Ok(None) };
    let (demand, figures) = tokio::join!(demand(app, session, &told), figures(app, session, &told));
    Ok(Some(shown(&told, &demand, &figures, lang)))
}

/// Who is on the posts now. An admission asks staffing for nobody.
async fn demand(app: &App, session: &Session, told: &DutyArrivals) -> Part<GetDutyDemandResponse> {
    if told.admission {
        return Part::Hidden;
    }
    let message = GetDutyDemandRequest { duty_transfer_id: told.duty_id.clone() };
    let Ok(request) = session.request(message) else { return Part::Hidden };
    let mut client = DutyResourceServiceClient::new(app.channel("staffing"));
    part("staffing", client.get_duty_demand(request).await)
}

/// What was counted of each item, in their order.
async fn figures(app: &App, session: &Session, told: &DutyArrivals) -> Part<Vec<Figures>> {
    let asked: Vec<_> = told.items.iter().map(|item| of_item(app, session, told, item)).collect();
    let mut found = Vec::with_capacity(asked.len());
    for answer in join_all(asked).await {
        match answer {
            Part::Told(figures) => found.push(figures),
            Part::Hidden => return Part::Hidden,
            Part::Beyond => return Part::Beyond,
            Part::Away => return Part::Away,
        }
    }
    Part::Told(found)
}

async fn of_item(app: &App, session: &Session, told: &DutyArrivals, item: &ItemArrival) -> Part<Figures> {
    let message = QueryIndicatorsRequest {
        codes: CODES.map(str::to_owned).into(),
        unit_ids: vec![told.unit_id.clone()],
        start_date: told.since_date.clone(),
        end_date: String::new(),
        item_code: item.item_code.clone(),
    };
    let Ok(request) = session.request(message) else { return Part::Hidden };
    let mut client = IndicatorServiceClient::new(app.channel("analytics"));
    part("analytics", client.query_indicators(request).await).map(|answer| Figures::of(&answer.values))
}

/// A part that is not to be had does not keep the reader from the others.
fn part<T>(service: &str, answer: Result<tonic::Response<T>, tonic::Status>) -> Part<T> {
    match answer {
        Ok(answer) => Part::Told(answer.into_inner()),
        Err(status) if status.code() == tonic::Code::PermissionDenied => Part::Hidden,
        Err(status) if status.code() == tonic::Code::NotFound => Part::Beyond,
        Err(status) => {
            tracing::warn!(service, code = ?status.code(), "a part of a dashboard is not to be had just now");
            Part::Away
        }
    }
}

fn shown(
    told: &DutyArrivals,
    demand: &Part<GetDutyDemandResponse>,
    figures: &Part<Vec<Figures>>,
    lang: Lang,
) -> Arrivals {
    let total = figures.map(|all| all.iter().sum::<Figures>());
    let learnt = told.staff.clone().unwrap_or_default();
    let funds = told.funds.clone().unwrap_or_default();
    let rows = [
        (
            lang.t("人员到社区", "Staff"),
            five::staff(learnt.arrival.as_ref(), demand),
            staff(&learnt, demand, lang),
        ),
        (lang.t("任务到社区", "Tasks"), Verdict::of(told.tasks.as_ref()), tasks(told, &total, lang)),
        (
            lang.t("服务承诺到社区", "Service promise"),
            Verdict::of(told.promise.as_ref()),
            promise(told, &total, lang),
        ),
        (
            lang.t("居民评议到社区", "Appraisal by residents"),
            five::appraisal(&total),
            appraisal(&total, lang),
        ),
        (
            lang.t("经费到社区", "Money"),
            Verdict::of(funds.arrival.as_ref()),
            money(&funds, told.admission, lang),
        ),
    ];
    let rows = rows.into_iter().map(|(name, verdict, figures)| row(name, &verdict, figures, lang));
    let counted = |number: usize| match figures {
        Part::Told(all) => all.get(number).copied(),
        Part::Hidden | Part::Beyond | Part::Away => None,
    };
    let items = told.items.iter().enumerate().map(|(number, item)| item_row(item, counted(number), lang));
    Arrivals {
        since: told.since_date.clone(),
        rows: rows.collect(),
        items: items.collect(),
        note: note(figures, lang),
    }
}

/// Analytics has no community for who reaches by line only; a role that asks for no figures at all is another matter.
fn note(figures: &Part<Vec<Figures>>, lang: Lang) -> &'static str {
    match figures {
        Part::Told(_) | Part::Away => "",
        Part::Hidden => {
            lang.t("该地点的数字不向您的角色显示。", "Figures of this place are not shown to your role.")
        }
        Part::Beyond => lang.t(
            "该地点的数字不对您的岗位显示：部门不得自行考核社区。",
            "Figures of this place are not shown to your role: a department does not appraise a community by \
             itself.",
        ),
    }
}

fn row(name: &'static str, verdict: &Verdict, figures: Vec<String>, lang: Lang) -> Row {
    let reason = verdict.reason.as_str();
    Row {
        name,
        state: lang.name(verdict.state.as_str_name()),
        missing: verdict.state == ArrivalState::NotYet,
        reason: if reason.is_empty() { String::new() } else { word("arrival", reason, lang) },
        figures,
    }
}

/// Posts with somebody on them of those promised, and courses.
fn staff(learnt: &StaffArrival, now: &Part<GetDutyDemandResponse>, lang: Lang) -> Vec<String> {
    let mut figures = Vec::new();
    if let Part::Told(GetDutyDemandResponse { demand: Some(demand), filled_posts }) = now {
        for post in &demand.posts {
            let on: i32 = filled_posts.iter().filter(|on| on.kind == post.kind).map(|on| on.count).sum();
            let (kind, words) = (lang.name(post.kind().as_str_name()), lang.t("在岗", "on post"));
            figures.push(format!("{kind} {words} {on} / {}", post.count));
        }
    } else {
        for post in &learnt.promised_posts {
            let (kind, words) = (lang.name(post.kind().as_str_name()), lang.t("承诺", "promised"));
            figures.push(format!("{kind} {words} {}", post.count));
        }
        let confirmed = local(learnt.confirmation.as_ref().and_then(|leg| leg.change_time.as_ref()));
        if !confirmed.is_empty() {
            figures.push(format!("{} {confirmed}", lang.t("确认于", "confirmed")));
        }
    }
    if !learnt.training_codes.is_empty() {
        let words = match &learnt.training {
            None => lang.t("须培训（是否完成未记录）", "courses (done or not: not recorded)").to_owned(),
            Some(leg) if leg.state() == LegState::Confirmed => {
                format!("{} {}", lang.t("培训完成于", "courses done"), local(leg.change_time.as_ref()))
            }
            Some(_) => lang.t("须培训（尚未完成）", "courses (not done yet)").to_owned(),
        };
        let courses: Vec<String> = learnt.training_codes.iter().map(|code| lang.name(code)).collect();
        figures.push(format!("{words}: {}", courses.join(", ")));
    }
    figures
}

/// Rules of the list that name the holder, and the cases that came.
fn tasks(told: &DutyArrivals, total: &Part<Figures>, lang: Lang) -> Vec<String> {
    let listed = told.items.iter().filter(|item| !item.rule_id.is_empty()).count();
    let words = lang.t("列入责任清单", "listed");
    let mut figures = vec![format!("{words} {listed} / {}", told.items.len())];
    if told.list_version > 0 {
        figures.push(format!("{} {}", lang.t("清单版本", "version of the list"), told.list_version));
    }
    match total {
        Part::Told(counted) => {
            figures.push(format!("{} {}", lang.t("登记工单", "cases that came"), counted.came));
            figures.push(format!("{} {}", lang.t("已结案", "closed"), counted.closed));
            figures.push(format!("{} {}", lang.t("在办", "open"), counted.open));
        }
        Part::Hidden | Part::Beyond | Part::Away => figures.push(untold(total, lang)),
    }
    figures
}

/// The limit, where there is but one, and how often it was kept.
fn promise(told: &DutyArrivals, total: &Part<Figures>, lang: Lang) -> Vec<String> {
    let mut figures = Vec::new();
    if let [item] = told.items.as_slice() {
        let promised = limit(item.promised_limit.as_ref(), lang);
        figures.push(format!("{} {promised}", lang.t("承诺时限", "promised limit")));
    }
    figures.push(match total {
        Part::Told(counted) => {
            let kept = five::rate(counted.on_time, counted.due);
            let words = lang.t("按时办结率", "done on time");
            format!("{words} {kept} ({} / {})", counted.on_time, counted.due)
        }
        Part::Hidden | Part::Beyond | Part::Away => untold(total, lang),
    });
    figures
}

fn appraisal(total: &Part<Figures>, lang: Lang) -> Vec<String> {
    let Part::Told(counted) = total else { return Vec::new() };
    vec![
        format!("{} {}", lang.t("评价", "ratings"), counted.ratings),
        format!("{} {}", lang.t("好评率", "good ones"), five::rate(counted.good, counted.ratings)),
        format!("{} {}", lang.t("回访评分", "graded in call-backs"), counted.graded),
        format!(
            "{} {}",
            lang.t("满意率（≥3分）", "satisfied (grade ≥3)"),
            five::rate(counted.satisfied, counted.graded)
        ),
    ]
}

fn money(funds: &FundsArrival, admission: bool, lang: Lang) -> Vec<String> {
    let unit = lang.t("元", "yuan");
    let yearly = if admission { "" } else { lang.t("（每年）", " a year") };
    let mut figures =
        vec![format!("{} {} {unit}{yearly}", lang.t("承诺", "promised"), yuan(&funds.promised_fen))];
    figures.push(match funds.allotted_fen {
        Some(fen) => format!("{} {} {unit}", lang.t("已划拨", "allotted"), yuan(&fen)),
        None => lang.t("划拨情况未记录", "allotted or not: not recorded").to_owned(),
    });
    if !funds.fund_line_code.is_empty() {
        figures.push(format!("{} {}", lang.t("科目", "fund line"), funds.fund_line_code));
    }
    figures.push(lang.t("支出情况未记录", "what was spent: not recorded").to_owned());
    figures
}

/// Why there are no figures, in words.
fn untold(total: &Part<Figures>, lang: Lang) -> String {
    let code = if matches!(total, Part::Away) { "no_answer" } else { "not_visible" };
    format!("{}: {}", lang.t("数字", "figures"), word("arrival", code, lang))
}

fn item_row(item: &ItemArrival, counted: Option<Figures>, lang: Lang) -> ItemRow {
    let figures = match counted {
        Some(of) => vec![
            of.came.to_string(),
            of.closed.to_string(),
            of.open.to_string(),
            five::rate(of.on_time, of.due),
            of.ratings.to_string(),
            five::rate(of.good, of.ratings),
            five::rate(of.satisfied, of.graded),
        ],
        None => vec!["—".to_owned(); 7],
    };
    ItemRow {
        code: item.item_code.clone(),
        rule_id: item.rule_id.clone(),
        listed_from: item.listed_from.clone(),
        promised: limit(item.promised_limit.as_ref(), lang),
        statutory: limit(item.statutory_limit.as_ref(), lang),
        figures,
    }
}

/// `3 个工作日`, or a dash where there is none.
fn limit(limit: Option<&Limit>, lang: Lang) -> String {
    let Some(limit) = limit else { return "—".to_owned() };
    let amount = i64::from(limit.amount);
    let unit = match limit.unit() {
        LimitUnit::Unspecified => "",
        LimitUnit::CalHour => {
            lang.t("小时（昼夜连计）", plural(amount, "hour around the clock", "hours around the clock"))
        }
        LimitUnit::WorkHour => lang.t("个工作时", plural(amount, "working hour", "working hours")),
        LimitUnit::WorkDay => lang.t("个工作日", plural(amount, "working day", "working days")),
        LimitUnit::CalDay => lang.t("个自然日", plural(amount, "calendar day", "calendar days")),
        LimitUnit::Month => lang.t("个月", plural(amount, "month", "months")),
    };
    format!("{} {unit}", limit.amount)
}
