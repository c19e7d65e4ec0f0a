//! A district's figures, cases and names for the pages to show.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::clock::Clock;
use prost_types::Timestamp;
use proto::{
    analytics::v1::{Count, GetBoardResponse, IndicatorValue, StreetSummary},
    auth::v1::Role,
    case_routing::v1::{
        ApplicationState, AssignmentStatus, CallbackAttempt, CallbackOutcome, Case, CaseEvidence, CaseRemark,
        CaseState, Clock as Limit, ClockKind, DeliveryMode, DispatchMode, ExchangeDirection, ExternalTicket,
        GeoPoint, GetCaseResponse, GetTimelineResponse, ListCasesResponse, ListPublicNoticesResponse,
        ListServiceItemsResponse, MediationState, MediationSummary, PublicNotice, Rating, Reason,
        RoutingCandidate, RoutingDecision, ServiceItem, SyncState, Task, TaskPart, TaskState, TimelineEntry,
        Verification, WaitCaseRequest, WaitCaseResponse,
    },
    identity::v1::{
        ListOrganizationsResponse, ListUnitsResponse, Organization, RefreshTokenResponse, SignInResponse,
        SignOutResponse, Unit,
    },
};

use prost::Message;
use serde_json::{Value, json};

use crate::{
    fakes::{Edge, Services},
    papers,
};

pub const STREET: &str = "0197a000-0000-7000-8000-000000000001";
/// What the board is of.
pub const DISTRICT: &str = "0197a000-0000-7000-8000-000000000009";
pub const CASE: &str = "0197c000-0000-7000-8000-000000000001";
/// Two persons.
pub const LI: &str = "0197e100-0000-7000-8000-000000000001";
pub const WANG: &str = "0197e100-0000-7000-8000-000000000002";
const HOTSPOT: &str = "0197d000-0000-7000-8000-000000000001";
pub const OFFICE: &str = "0197b000-0000-7000-8000-000000000001";
pub const BUREAU: &str = "0197b000-0000-7000-8000-000000000002";
/// What a resident wrote; shown as text whatever is in it.
pub const TEXT: &str = "楼下路灯坏了三天 <script>alert(1)</script>，老人夜里不敢出门，请尽快修复。";

fn at(minutes: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_772_413_200 + minutes * 60, nanos: 0 })
}

fn rate(code: &str, numerator: i64, denominator: i64) -> IndicatorValue {
    IndicatorValue {
        code: code.into(),
        numerator,
        denominator,
        value: (denominator > 0).then(|| numerator as f64 / denominator as f64),
        small_sample: denominator < 30,
        ..Default::default()
    }
}

fn counts(pairs: &[(&str, i64)]) -> Vec<Count> {
    pairs.iter().map(|(key, count)| Count { key: (*key).into(), count: *count }).collect()
}

pub fn board(registered: i64) -> GetBoardResponse {
    let streets = [
        ("满春街道", "Manchun Street", 58, 12, 2, 46),
        ("前进街道", "Qianjin Street", 81, 20, 0, 61),
        ("花楼水塔街道", "Hualou Shuita Street", 112, 31, 5, 81),
        ("唐家墩街道", "Tangjiadun Street", 49, 9, 0, 40),
    ];
    let streets =
        streets.iter().enumerate().map(|(n, (zh, en, registered, open, overdue, closed))| StreetSummary {
            unit_id: if n == 0 { STREET.into() } else { format!("0197a000-0000-7000-8000-00000000001{n}") },
            name_zh: (*zh).into(),
            name_en: (*en).into(),
            registered: *registered,
            open: *open,
            overdue: *overdue,
            closed: *closed,
            // Made of two streets a while ago.
            on_time_rate: Some(IndicatorValue { rebased: n == 2, ..rate("I-07", *closed - 2, *closed) }),
            satisfaction_rate: Some(rate("I-18", *closed - 1, *closed)),
            ..Default::default()
        });
    GetBoardResponse {
        by_state: counts(&[("in_progress", 41), ("dispatched", 20), ("verifying", 11), ("closed", 228)]),
        by_delivery_mode: counts(&[
            ("gov_direct", 180),
            ("gov_purchased", 24),
            ("volunteer", 16),
            ("self_governance", 6),
            ("market", 2),
        ]),
        streets: streets.collect(),
        registered,
        open: 72,
        overdue: 7,
        closed: 228,
        rates: vec![
            rate("I-16", 226, 228),
            IndicatorValue { rebased: true, ..rate("I-17", 209, 228) },
            rate("I-18", 27, 29),
            rate("I-16-unreached", 12, 240),
            rate("I-07", 0, 0),
        ],
        domain_time: at(0),
        revision: registered,
        start_date: "2026-03-01".into(),
        end_date: "2026-04-01".into(),
        unit_id: DISTRICT.into(),
        unit_name_zh: "江汉区".into(),
        unit_name_en: "Jianghan District".into(),
        of_streets: true,
        ..Default::default()
    }
}

pub fn case() -> Case {
    let task = |n: u8, org: &str, part: TaskPart, state: TaskState| Task {
        task_id: format!("t-{n}"),
        task_no: format!("420103-20260302-000001-{n}"),
        org_id: org.into(),
        part: part.into(),
        mode: DispatchMode::Order.into(),
        state: state.into(),
        assignment: AssignmentStatus::OnSite.into(),
        due_time: at(2_880),
        ..Default::default()
    };
    let limit = |kind: ClockKind, from: i64, due: i64, stop: Option<i64>, breach: Option<i64>| Limit {
        kind: kind.into(),
        start_time: at(from),
        due_time: at(due),
        stop_time: stop.and_then(at),
        breach_time: breach.and_then(at),
        provisional: kind == ClockKind::Resolve,
        ..Default::default()
    };
    let mediation = MediationSummary {
        state: MediationState::Effective.into(),
        opened_time: at(0),
        effective_time: at(2 * 1440),
        performance_due_time: at(16 * 1440),
        ..Default::default()
    };
    let ticket = ExternalTicket {
        system_name_zh: "市民热线".into(),
        system_name_en: "Citizens' hotline".into(),
        ext_no: "WH20260302001".into(),
        direction: ExchangeDirection::In.into(),
        class_code: "0201".into(),
        sync_state: SyncState::Failed.into(),
        last_error_code: "http_503".into(),
        remark_count: 1,
        external_status: "已转区住建局".into(),
        external_state: CaseState::Dispatched.into(),
        external_status_time: at(60),
        taken_back_time: at(120),
        ..Default::default()
    };
    Case {
        mediation: Some(mediation),
        external_tickets: vec![ticket],
        case_id: CASE.into(),
        case_no: "420103-20260302-000001".into(),
        etag: "7".into(),
        state: CaseState::InProgress.into(),
        item_code: "CJ-0108".into(),
        item_name_zh: "路灯不亮".into(),
        item_name_en: "Street lamp out".into(),
        place_unit_id: STREET.into(),
        grid_code: "420103005001001".into(),
        point: Some(GeoPoint { longitude_e6: Some(114_270_123), latitude_e6: Some(30_600_456) }),
        text_redacted: TEXT.into(),
        first_receiver_org_id: OFFICE.into(),
        lead_org_id: BUREAU.into(),
        delivery_mode: DeliveryMode::GovDirect.into(),
        registered_time: at(0),
        resolve_due_time: at(2_880),
        overdue: true,
        rating: Some(Rating { grade: 4, ..Default::default() }),
        remarks: vec![CaseRemark {
            kind: "remark".into(),
            remark_time: at(60),
            text_redacted: "又堆了两辆车 <b>急</b>".into(),
            ..Default::default()
        }],
        verification: Some(Verification {
            verifier_org_id: OFFICE.into(),
            callback: CallbackOutcome::Unreached.into(),
            method: "photo".into(),
            verified_time: at(1_500),
            attempts: vec![CallbackAttempt {
                attempt_time: at(1_440),
                outcome: CallbackOutcome::Unreached.into(),
            }],
            evidence_refs: vec!["photo:checked".into()],
            ..Default::default()
        }),
        evidence: vec![
            CaseEvidence {
                kind: "photo".into(),
                evidence_ref: "photo:<lamp>".into(),
                task_id: "t-2".into(),
                org_id: OFFICE.into(),
                given_time: at(1_200),
            },
            CaseEvidence {
                kind: "explanation".into(),
                evidence_ref: "kb:lamps".into(),
                ..Default::default()
            },
        ],
        tasks: vec![
            task(1, BUREAU, TaskPart::Lead, TaskState::Working),
            task(2, OFFICE, TaskPart::Assist, TaskState::Submitted),
        ],
        clocks: vec![
            limit(ClockKind::Accept, 0, 60, Some(10), None),
            limit(ClockKind::Sign, 30, 90, Some(120), Some(90)),
            limit(ClockKind::Resolve, 10, 2_880, None, None),
        ],
        routing: Some(RoutingDecision {
            kind: "dispatched".into(),
            lead_org_id: BUREAU.into(),
            rule_ids: vec!["R-3".into(), "R-7".into()],
            candidates: vec![
                RoutingCandidate {
                    org_id: OFFICE.into(),
                    rule_id: "R-1".into(),
                    rejected: Some(reason("no_competence", "本级无此职权", "no competence at this level")),
                    ..Default::default()
                },
                RoutingCandidate {
                    org_id: BUREAU.into(),
                    rule_id: "R-3".into(),
                    chosen: true,
                    ..Default::default()
                },
            ],
            reasons: vec![reason("lowest_competent", "最低有权层级办理", "the lowest competent level")],
            decided_time: at(12),
            list_version: "2026.1".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn reason(code: &str, zh: &str, en: &str) -> Reason {
    Reason { code: code.into(), text_zh: zh.into(), text_en: en.into(), ..Default::default() }
}

fn timeline() -> Vec<TimelineEntry> {
    let steps = [
        (0, "CaseRegistered", CaseState::Registered, OFFICE, ""),
        (10, "CaseAccepted", CaseState::Accepted, OFFICE, ""),
        (12, "CaseDispatched", CaseState::Dispatched, OFFICE, "t-1"),
        (120, "TaskSigned", CaseState::Signed, BUREAU, "t-1"),
        (180, "CaseContacted", CaseState::InProgress, BUREAU, ""),
    ];
    let entry = |(minutes, event, state, org, task): (i64, &str, CaseState, &str, &str)| TimelineEntry {
        event: event.into(),
        state: state.into(),
        org_id: org.into(),
        task_id: task.into(),
        event_time: at(minutes),
        reason: (event == "CaseDispatched")
            .then(|| reason("lowest_competent", "最低有权层级办理", "the lowest competent level")),
        ..Default::default()
    };
    steps.into_iter().map(entry).collect()
}

/// A grant as tokens carry it.
pub fn grant(role: Role, purposes: &Value) -> Value {
    json!([role as i32, STREET, null, null, purposes])
}

/// An access token with these grants; nobody here checks its signature.
pub fn token(grants: &[Value], signature: &str) -> String {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(json!({ "grants": grants }).to_string());
    format!("e30.{payload}.{signature}")
}

/// Tokens that run out in so many seconds, of somebody to whom every page is open.
pub fn tokens(seconds: i64) -> SignInResponse {
    let until = Clock::system().real_now().timestamp() + seconds;
    SignInResponse {
        access_token: token(&[grant(Role::StreetLeader, &Value::Null)], &seconds.to_string()),
        access_expire_time: Some(Timestamp { seconds: until, nanos: 0 }),
        refresh_token: "refresh-1".into(),
        ..Default::default()
    }
}

/// From now on whoever signs in has this role and no other.
pub fn everybody_is(services: &Services, role: Role) {
    let access_token = token(&[grant(role, &Value::Null)], "x");
    services.answer("SignIn", &SignInResponse { access_token, ..tokens(600) });
}

/// The header that carries the access token of `tokens`.
pub fn bearer(seconds: i64) -> String {
    format!("Bearer {}", tokens(seconds).access_token)
}

/// The same tokens for a refresh token, with the next one.
pub fn renewed(seconds: i64) -> RefreshTokenResponse {
    let new = tokens(seconds);
    RefreshTokenResponse {
        access_token: new.access_token,
        access_expire_time: new.access_expire_time,
        refresh_token: "refresh-2".into(),
        ..Default::default()
    }
}

/// One of the access tokens of a person; nobody here checks its signature.
pub fn token_of(person: &str, session: usize) -> String {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{person}"}}"#));
    format!("e30.{payload}.{session}")
}

/// From now on the case is this one, for who reads it and for who waits for another.
pub fn case_is(services: &Services, case: Case) {
    services.answer("GetCase", &GetCaseResponse { case: Some(case.clone()) });
    services.answer_by("WaitCase", move |call| {
        let asked: WaitCaseRequest = call.decode();
        let changed = asked.after_etag != case.etag;
        Ok(WaitCaseResponse { case: Some(case.clone()), changed }.encode_to_vec())
    });
}

/// An edge before services that know the district and sign anybody in whose password is `secret`.
pub async fn district(public_url: Option<&str>) -> Edge {
    let edge = Edge::reached_at(public_url).await;
    let services = &edge.services;
    services.answer_by("SignIn", |call| {
        let asked: proto::identity::v1::SignInRequest = call.decode();
        if asked.password == "secret" {
            Ok(prost::Message::encode_to_vec(&tokens(600)))
        } else {
            Err(tonic::Status::unauthenticated("sign in first"))
        }
    });
    services.answer("SignOut", &SignOutResponse {});
    services.answer("GetBoard", &board(300));
    let others = ["井盖松动", "楼道堆物", "广场舞噪音扰民"];
    let mut cases = vec![case()];
    cases.extend(others.iter().enumerate().map(|(n, item)| Case {
        case_id: format!("0197c000-0000-7000-8000-00000000010{n}"),
        case_no: format!("420103-20260302-00001{n}"),
        item_name_zh: (*item).into(),
        application_state: ApplicationState::PublicNotice.into(),
        overdue: false,
        state: CaseState::Dispatched.into(),
        ..case()
    }));
    services.answer(
        "ListCases",
        &ListCasesResponse { cases, next_page_token: "a+b".into(), ..Default::default() },
    );
    let notice = PublicNotice {
        name_masked: "欧**".into(),
        unit_name_zh: "大夹社区".into(),
        unit_name_en: "Dajia Community".into(),
        item_name_zh: "临时救助申请".into(),
        item_name_en: "Temporary relief".into(),
        first_day: "2026-03-02".into(),
        last_day: "2026-03-09".into(),
        ..Default::default()
    };
    let notices = ListPublicNoticesResponse { notices: vec![notice], next_page_token: "a+b".into() };
    services.answer("ListPublicNotices", &notices);
    hotspots(services);
    case_is(services, papers::disputed(case()));
    papers::filed(services);
    services
        .answer("GetTimeline", &GetTimelineResponse { entries: timeline(), next_page_token: String::new() });
    let unit = Unit {
        unit_id: STREET.into(),
        name_zh: "满春街道".into(),
        name_en: "Manchun Street".into(),
        ..Default::default()
    };
    services.answer("ListUnits", &ListUnitsResponse { units: vec![unit], ..Default::default() });
    let item = |code: &str, zh: &str, en: &str| ServiceItem {
        item_code: code.into(),
        name_zh: zh.into(),
        name_en: en.into(),
        ..Default::default()
    };
    let items = vec![
        item("CJ-0108", "路灯不亮", "Street lamp out"),
        item("CJ-0110", "供暖不热", "Heating too cold"),
        item("CJ-0111", "燃气安全", "Gas safety"),
    ];
    services.answer("ListServiceItems", &ListServiceItemsResponse { items, ..Default::default() });
    let org = |id: &str, zh: &str, en: &str| Organization {
        org_id: id.into(),
        name_zh: zh.into(),
        name_en: en.into(),
        ..Default::default()
    };
    let organizations = vec![
        org(OFFICE, "满春街道办事处", "Manchun Street Office"),
        org(BUREAU, "区城管执法局", "Urban Management Bureau"),
    ];
    services.answer("ListOrganizations", &ListOrganizationsResponse { organizations, ..Default::default() });
    edge
}

/// A hot spot that waits for an answer, one with a topic case that helped, and one that was dismissed.
fn hotspots(services: &Services) {
    use proto::{analytics::v1 as figures, case_routing::v1 as cases};
    let open = cases::Hotspot {
        hotspot_id: HOTSPOT.into(),
        unit_id: STREET.into(),
        item_code: "CJ-0103".into(),
        item_name_zh: "路灯不亮".into(),
        item_name_en: "Street light out".into(),
        start_date: "2026-02-24".into(),
        end_date: "2026-03-02".into(),
        count: 12,
        expected: 2.0625,
        answer: cases::HotspotAnswer::Open.into(),
        topic_possible: true,
        ..Default::default()
    };
    let topic = cases::Hotspot {
        hotspot_id: format!("{}2", &HOTSPOT[..35]),
        answer: cases::HotspotAnswer::Topic.into(),
        topic_case_id: CASE.into(),
        linked_count: 9,
        ended: true,
        ..open.clone()
    };
    let dismissed = cases::Hotspot {
        hotspot_id: format!("{}3", &HOTSPOT[..35]),
        answer: cases::HotspotAnswer::Dismissed.into(),
        reason_code: "seasonal".into(),
        ..open.clone()
    };
    let seen = figures::Hotspot {
        hotspot_id: topic.hotspot_id.clone(),
        effect: figures::HotspotEffect::Fell.into(),
        count_before: 12,
        days_before: 10,
        count_after: 4,
        days_after: 28,
        ..Default::default()
    };
    let found =
        cases::ListHotspotsResponse { hotspots: vec![open, topic, dismissed], next_page_token: "a+b".into() };
    // Two services have a method of this name. Hundreds are newer than what analytics knows of this one.
    services.answer_by("ListHotspots", move |call| {
        if !call.method.starts_with("jianghan.analytics") {
            return Ok(found.encode_to_vec());
        }
        let asked: figures::ListHotspotsRequest = call.decode();
        let named = asked.hotspot_ids.contains(&seen.hotspot_id);
        let hotspots = if named { vec![seen.clone()] } else { Vec::new() };
        Ok(figures::ListHotspotsResponse { hotspots, ..Default::default() }.encode_to_vec())
    });
}
