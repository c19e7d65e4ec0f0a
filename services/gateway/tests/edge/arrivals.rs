//! The dashboard of a duty in force: what three services answer, joined, and what is said where one does not.

use prost::Message;
use prost_types::Timestamp;
use proto::{
    analytics::v1::{IndicatorValue, QueryIndicatorsRequest, QueryIndicatorsResponse},
    case_routing::v1::{
        Arrival, ArrivalState, DutyArrivals, DutyLeg, DutyTransfer, DutyTransferState, FundsArrival,
        GetAdmissionResponse, GetDutyArrivalsRequest, GetDutyArrivalsResponse, GetDutyTransferResponse,
        ItemArrival, LegState, Limit, LimitUnit, PostNeed, StaffArrival, TaskAdmission, TaskAdmissionState,
        TaskPart,
    },
    staffing::v1::{
        DemandState, DutyDemand, GetDutyDemandRequest, GetDutyDemandResponse, PostDemand, PostKind,
    },
};
use tonic::Status;

use crate::{
    canned::{BUREAU, OFFICE, STREET, bearer, district},
    fakes::{Edge, Services},
    papers::{ADMISSION, TRANSFER, admission, transfer},
    papers_pages::shows,
    visitor::{page, sign_in},
};

fn arrival(state: ArrivalState, reason: &str) -> Option<Arrival> {
    Some(Arrival { state: state.into(), reason_code: reason.into() })
}

fn item(code: &str, rule: &str, part: TaskPart) -> ItemArrival {
    ItemArrival {
        item_code: code.into(),
        rule_id: rule.into(),
        listed_from: if rule.is_empty() { String::new() } else { "2026-03-06".into() },
        part: part.into(),
        promised_limit: Some(Limit { amount: 3, unit: LimitUnit::WorkDay.into() }),
        statutory_limit: None,
    }
}

/// A transfer of two items of which the list has one; an admission of which nobody knows what came.
fn told(duty_id: &str) -> DutyArrivals {
    let base = DutyArrivals {
        duty_id: duty_id.into(),
        from_org_id: BUREAU.into(),
        to_org_id: OFFICE.into(),
        unit_id: STREET.into(),
        since_date: "2026-03-06".into(),
        list_version: 7,
        promise: arrival(ArrivalState::Arrived, ""),
        ..Default::default()
    };
    if duty_id == ADMISSION {
        return DutyArrivals {
            admission: true,
            items: vec![item("CJ-0110", "AD-1-CJ-0110", TaskPart::Assist)],
            staff: Some(StaffArrival {
                arrival: arrival(ArrivalState::Unknown, "not_recorded"),
                promised_posts: vec![PostNeed { kind: PostKind::GridWorker.into(), count: 2 }],
                training_codes: vec!["heating_basics".into()],
                confirmation: None,
                training: None,
            }),
            tasks: arrival(ArrivalState::Arrived, ""),
            funds: Some(FundsArrival {
                arrival: arrival(ArrivalState::Unknown, "not_recorded"),
                promised_fen: 20_050,
                allotted_fen: None,
                fund_line_code: String::new(),
            }),
            ..base
        };
    }
    let confirmation = DutyLeg {
        state: LegState::Confirmed.into(),
        change_time: Some(Timestamp { seconds: 1_772_413_200, nanos: 0 }),
        ..Default::default()
    };
    DutyArrivals {
        items: vec![item("CJ-0108", "DT-1-CJ-0108", TaskPart::Lead), item("CJ-0109", "", TaskPart::Lead)],
        staff: Some(StaffArrival {
            arrival: arrival(ArrivalState::Arrived, ""),
            promised_posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 2 }],
            training_codes: vec!["heating_basics".into()],
            training: Some(confirmation.clone()),
            confirmation: Some(confirmation),
        }),
        tasks: arrival(ArrivalState::NotYet, "partly_listed"),
        funds: Some(FundsArrival {
            arrival: arrival(ArrivalState::Arrived, ""),
            promised_fen: 80_000,
            allotted_fen: Some(80_000),
            fund_line_code: "heating-2026".into(),
        }),
        ..base
    }
}

/// `(came, closed, open)`, `(on time, due)`, `(satisfied, graded)` and `(good, rated)` of an item.
type Counted = ((i64, i64, i64), (i64, i64), (i64, i64), (i64, i64));

fn values(((came, closed, open), on_time, satisfied, good): Counted) -> QueryIndicatorsResponse {
    let value = |code: &str, (numerator, denominator): (i64, i64)| IndicatorValue {
        code: code.into(),
        numerator,
        denominator,
        ..Default::default()
    };
    let values = vec![
        value("I-01-closed", (closed, came)),
        value("I-01-open", (open, came)),
        value("I-07", on_time),
        value("I-18", satisfied),
        value("I-20", good),
    ];
    QueryIndicatorsResponse { values }
}

/// From now on the services answer with them. Of the two promised posts one has somebody on it.
pub fn filed(services: &Services) {
    services.answer("GetAdmission", &GetAdmissionResponse { admission: Some(admission()) });
    services.answer_by("GetDutyArrivals", |call| {
        let asked: GetDutyArrivalsRequest = call.decode();
        let arrivals = Some(told(&asked.duty_id));
        Ok(GetDutyArrivalsResponse { arrivals }.encode_to_vec())
    });
    let posts = |count| vec![PostDemand { kind: PostKind::ServiceWorker.into(), count }];
    let demand = DutyDemand {
        staff: DemandState::Met.into(),
        training: DemandState::Asked.into(),
        posts: posts(2),
        ..Default::default()
    };
    let demand = GetDutyDemandResponse { demand: Some(demand), filled_posts: posts(1) };
    services.answer("GetDutyDemand", &demand);
    services.answer_by("QueryIndicators", |call| {
        let asked: QueryIndicatorsRequest = call.decode();
        let counted = match asked.item_code.as_str() {
            "CJ-0108" => ((9, 5, 3), (5, 6), (0, 0), (2, 3)),
            _ => ((3, 1, 2), (1, 2), (0, 0), (0, 0)),
        };
        Ok(values(counted).encode_to_vec())
    });
}

fn in_state(edge: &Edge, state: DutyTransferState) {
    let transfer = DutyTransfer { state: state.into(), ..transfer() };
    edge.services.answer("GetDutyTransfer", &GetDutyTransferResponse { transfer: Some(transfer) });
}

#[tokio::test]
async fn a_transfer_in_effect_shows_the_five_with_the_figures_of_three_services() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    in_state(&edge, DutyTransferState::Effective);
    let path = format!("/duties/{TRANSFER}");
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200);
    shows(&html, &["五个到社区", "自 2026-03-06"]);
    shows(&html, &["人员到社区", "岗位空缺", "社区服务员 在岗 1 / 2"]);
    shows(&html, &["任务到社区", "部分列入责任清单", "列入责任清单 1 / 2", "清单版本 7"]);
    shows(&html, &["登记工单 12", "已结案 6", "在办 5"]);
    shows(&html, &["服务承诺到社区", "按时办结率 75.00 % (6 / 8)", "3 个工作日"]);
    shows(&html, &["居民评议到社区", "评价 3", "好评率 66.67 %", "回访评分 0", "满意率（≥3分） —"]);
    shows(&html, &["经费到社区", "已划拨 800.00 元", "科目 heating-2026", "支出情况未记录"]);
    shows(&html, &["DT-1-CJ-0108", "83.33 %", "50.00 %", ">CJ-0108 路灯不亮<", ">CJ-0109<"]);
    assert_eq!(html.matches("<span class=\"tag bad\">尚未到位</span>").count(), 2, "staff and tasks: {html}");
    assert_eq!(html.matches("<span class=\"tag\">已到位</span>").count(), 3, "{html}");
    assert!(!html.contains("确认于"), "staffing tells how it is now");
    shows(&html, &["培训完成于 2026-03-02 09:00: 供暖基础知识"]);

    let asked: GetDutyArrivalsRequest = edge.services.calls("GetDutyArrivals")[0].decode();
    assert_eq!(asked.duty_id, TRANSFER);
    let asked: GetDutyDemandRequest = edge.services.calls("GetDutyDemand")[0].decode();
    assert_eq!(asked.duty_transfer_id, TRANSFER);
    let calls = edge.services.calls("QueryIndicators");
    let mut items: Vec<String> = Vec::new();
    for call in &calls {
        assert_eq!(call.header("authorization").as_deref(), Some(bearer(600).as_str()));
        let asked: QueryIndicatorsRequest = call.decode();
        assert_eq!((asked.unit_ids, asked.start_date.as_str()), (vec![STREET.to_owned()], "2026-03-06"));
        assert!(asked.end_date.is_empty() && asked.codes.contains(&"I-07".to_owned()), "{:?}", asked.codes);
        items.push(asked.item_code);
    }
    items.sort();
    assert_eq!(items, ["CJ-0108", "CJ-0109"]);

    let (_, html) = page(&edge, &path, &format!("{session}; jh_lang=en")).await;
    shows(&html, &["Five arrivals", "Not yet", "a post is vacant", "Service worker on post 1 / 2"]);
    shows(&html, &["only in part in the list", "3 working days", "done on time 75.00 %"]);
    shows(&html, &["satisfied (grade ≥3) —"]);
    shows(&html, &["allotted 800.00 yuan", "what was spent: not recorded"]);
}

#[tokio::test]
async fn what_a_reader_may_not_see_or_nobody_counted_is_said_and_not_made_up() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    in_state(&edge, DutyTransferState::Effective);
    let path = format!("/duties/{TRANSFER}");
    // A department: no figure of a community; staff as the duty learnt of it.
    edge.services.refuse("QueryIndicators", Status::not_found("unit"));
    edge.services.refuse("GetDutyDemand", Status::permission_denied("role"));
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200);
    shows(
        &html,
        &["不对您的岗位显示", "部门不得自行考核社区", "社区服务员 承诺 2", "确认于 2026-03-02 09:00"],
    );
    shows(&html, &["<span class=\"tag\">未知</span>", "已划拨 800.00 元"]);
    assert!(!html.contains("按时办结率 ") && !html.contains("登记工单"), "{html}");

    // A role that no figures are for is no department.
    edge.services.refuse("QueryIndicators", Status::permission_denied("role"));
    let (_, html) = page(&edge, &path, &session).await;
    shows(&html, &["该地点的数字不向您的角色显示。", "<span class=\"tag\">未知</span>"]);
    assert!(!html.contains("部门不得自行考核社区"), "{html}");

    edge.services.refuse("QueryIndicators", Status::unavailable("away"));
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200, "a part that is away does not keep the rest back");
    shows(&html, &["服务暂未应答", "列入责任清单 1 / 2"]);
    assert!(!html.contains("部门不得自行考核社区"), "{html}");

    // Nothing was counted yet: no rate is made of nothing.
    let none = values(((0, 0, 0), (0, 0), (0, 0), (0, 0)));
    edge.services.answer("QueryIndicators", &none);
    let (_, html) = page(&edge, &path, &session).await;
    shows(&html, &["尚无评议", "按时办结率 — (0 / 0)", "好评率 —", "满意率（≥3分） —", "登记工单 0"]);
    assert!(!html.contains("NaN") && !html.contains("0.00 %"), "{html}");
}

#[tokio::test]
async fn what_is_not_in_force_has_no_dashboard() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let path = format!("/duties/{TRANSFER}");
    let others = [
        DutyTransferState::Applied,
        DutyTransferState::Proposed,
        DutyTransferState::Suspended,
        DutyTransferState::Ended,
        DutyTransferState::RolledBack,
    ];
    for state in others {
        in_state(&edge, state);
        let (status, html) = page(&edge, &path, &session).await;
        assert!(status == 200 && !html.contains("五个到社区"), "{state:?}: {html}");
    }
    assert!(edge.services.calls("GetDutyArrivals").is_empty(), "nobody is asked");
    // It went out of force in between, or its service does not answer.
    in_state(&edge, DutyTransferState::Effective);
    edge.services.refuse("GetDutyArrivals", Status::failed_precondition("the transfer is suspended"));
    let (status, html) = page(&edge, &path, &session).await;
    assert!(status == 200 && !html.contains("五个到社区") && html.contains("权（授权）"), "{html}");
    edge.services.refuse("GetDutyArrivals", Status::unavailable("away"));
    assert_eq!(page(&edge, &path, &session).await.0, 503);
}

#[tokio::test]
async fn an_admission_has_a_page_of_its_own_and_its_dashboard_says_what_is_not_recorded() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let path = format!("/admissions/{ADMISSION}");
    let (_, html) = page(&edge, "/duties", &session).await;
    assert!(html.contains(&format!("href=\"{path}\"")), "{html}");
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200);
    shows(&html, &["CJ-0110 供暖不热 <span", "施行", "doc:district-2026-9", "200.50"]);
    shows(&html, &["五个到社区", "AD-1-CJ-0110"]);
    shows(&html, &["网格员 承诺 2", "须培训（是否完成未记录）: 供暖基础知识", "划拨情况未记录"]);
    shows(&html, &["承诺时限 3 个工作日", "按时办结率 50.00 % (1 / 2)"]);
    assert_eq!(html.matches("<span class=\"tag\">未知</span>").count(), 2, "staff and money: {html}");
    assert!(edge.services.calls("GetDutyDemand").is_empty(), "staffing knows of no admission");

    let expired = TaskAdmission { state: TaskAdmissionState::Expired.into(), ..admission() };
    edge.services.answer("GetAdmission", &GetAdmissionResponse { admission: Some(expired) });
    let (status, html) = page(&edge, &path, &session).await;
    assert!(status == 200 && !html.contains("五个到社区"), "{html}");
    edge.services.refuse("GetAdmission", Status::not_found("duty"));
    assert_eq!(page(&edge, &path, &session).await.0, 404);
    assert_eq!(page(&edge, &path, "").await.0, 303, "nobody sees it without a session");
}
