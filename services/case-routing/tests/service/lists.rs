//! The responsibility list version by version: drafted, checked, tried in one street, put in force, taken back.

use std::collections::BTreeMap;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        responsibility_service_client::ResponsibilityServiceClient,
    },
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    hours::taken_in_next_door,
    mergers::{joins, merged},
    support::{District, ITEM, request_id},
};

type Client = ResponsibilityServiceClient<PeerChannel>;

fn client(d: &District, persona: &Persona) -> Client {
    ResponsibilityServiceClient::new(d.service.call_as(persona))
}

struct Desk {
    drafter: Client,
    approver: Client,
}

impl Desk {
    fn of(d: &District) -> Self {
        Self {
            drafter: client(d, &Persona::new(Role::DistrictDispatcher, d.district)),
            approver: client(d, &Persona::new(Role::Arbiter, d.district)),
        }
    }

    async fn entries(&mut self, version: i32) -> Vec<pb::ListEntry> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListListEntriesRequest {
                list_version: version,
                item_code: ITEM.into(),
                page_size: 1,
                page_token,
            };
            let page = self.drafter.list_list_entries(request).await.unwrap().into_inner();
            all.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// The government of the district leads what the street led before.
    async fn draft(&mut self) -> pb::ListVersion {
        let entries = self.entries(1).await;
        let lead = entries.iter().filter(|entry| entry.part() == pb::ListPart::Lead);
        let upserts = lead.map(|entry| pb::ListEntry {
            org_kind: String::new(),
            line: String::new(),
            org_code: "gov:420103".into(),
            ..entry.clone()
        });
        let others = entries.iter().filter(|entry| entry.part() != pb::ListPart::Lead);
        let request = pb::CreateListVersionRequest {
            request_id: request_id(),
            upserts: upserts.collect(),
            removed_rule_ids: others.map(|entry| entry.rule_id.clone()).collect(),
            reason_code: "duty_moved".into(),
            ..Default::default()
        };
        self.drafter.create_list_version(request).await.unwrap().into_inner().version.unwrap()
    }

    async fn canary(&mut self, version: i32, unit: impl ToString) -> Result<pb::ListVersion, Status> {
        let request = pb::StartCanaryRequest {
            list_version: version,
            request_id: request_id(),
            unit_id: unit.to_string(),
            ..Default::default()
        };
        self.approver.start_canary(request).await.map(|answer| answer.into_inner().version.unwrap())
    }

    async fn activate(&mut self, version: i32, day: &str) -> Result<pb::ListVersion, Status> {
        let request = pb::ActivateListVersionRequest {
            list_version: version,
            request_id: request_id(),
            effective_on: day.into(),
            ..Default::default()
        };
        self.approver.activate_list_version(request).await.map(|answer| answer.into_inner().version.unwrap())
    }

    async fn roll_back(&mut self, version: i32) -> Result<pb::RollBackListVersionResponse, Status> {
        let request = pb::RollBackListVersionRequest {
            list_version: version,
            request_id: request_id(),
            reason_code: "wrong_lead".into(),
        };
        self.drafter.roll_back_list_version(request).await.map(tonic::Response::into_inner)
    }
}

async fn explained(d: &District, unit: impl ToString, at: Option<&str>) -> pb::RoutingDecision {
    let persona = Persona::new(Role::DistrictDispatcher, d.district);
    let request = pb::ExplainRouteRequest {
        item_code: ITEM.into(),
        unit_id: unit.to_string(),
        at_time: at.map(|at| at.parse().unwrap()),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&persona));
    intake.explain_route(request).await.unwrap().into_inner().decision.unwrap()
}

#[tokio::test]
async fn a_canary_routes_one_street_and_a_rollback_ends_it_everywhere() {
    let d = District::start_with(|_| {}, "sweep_ms", 20).await;
    let other = d.another().await;
    let mut desk = Desk::of(&d);
    let resident = Persona::resident(d.district);
    let before = d.taken_in(&resident).await;
    let old = before.routing.clone().unwrap();
    assert_eq!(before.lead_org_id, d.office.to_string());
    assert!(old.list_version.ends_with(".list-1"), "{}", old.list_version);

    let draft = desk.draft().await;
    assert_eq!((draft.list_version, draft.state()), (2, pb::ListState::Draft));
    assert_eq!(d.taken_in(&resident).await.lead_org_id, before.lead_org_id, "a draft decides nothing");
    let canary = desk.canary(2, d.street).await.unwrap();
    assert_eq!((canary.state(), canary.canary_unit_id), (pb::ListState::Canary, d.street.to_string()));
    let here = d.taken_in(&resident).await;
    let new = here.routing.clone().unwrap();
    assert_ne!(here.lead_org_id, before.lead_org_id);
    assert_eq!(new.list_version, draft.cited_as);
    let there = explained(&d, d.other_street, None).await;
    assert_eq!(
        (there.lead_org_id, there.list_version),
        (d.other_office.to_string(), old.list_version.clone())
    );

    // The other replica follows by the revision.
    let elsewhere = async || {
        let channel = d.call_at(other.addr, &Persona::new(Role::DistrictDispatcher, d.district));
        let request = pb::ExplainRouteRequest {
            item_code: ITEM.into(),
            unit_id: d.community.to_string(),
            ..Default::default()
        };
        let answer = IntakeServiceClient::new(channel).explain_route(request).await;
        answer.unwrap().into_inner().decision.unwrap().list_version
    };
    d.service.wait_for("the canary on the other replica", async || elsewhere().await == draft.cited_as).await;

    let back = desk.roll_back(2).await.unwrap();
    assert_eq!((back.version.unwrap().state(), back.in_force_version), (pb::ListState::Withdrawn, 1));
    assert_eq!(d.taken_in(&resident).await.lead_org_id, before.lead_org_id);
    d.service
        .wait_for("the rollback on the other replica", async || elsewhere().await == old.list_version)
        .await;
    assert_eq!(d.read(&here).await.routing.unwrap(), new, "what was decided stays and cites its version");
    assert_eq!(desk.canary(2, d.street).await.unwrap_err().code(), Code::FailedPrecondition);
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn a_canary_decides_where_its_street_was_merged_into() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let resident = Persona::resident(d.district);
    let led_by_street = d.taken_in(&resident).await;
    assert_eq!(led_by_street.lead_org_id, d.office.to_string());
    let draft = desk.draft().await;
    desk.canary(2, d.street).await.unwrap();
    let before = d.taken_in(&resident).await;
    assert_eq!(before.routing.clone().unwrap().list_version, draft.cited_as);

    let next = merged(&d).await;
    for unit in [next, d.community, d.street] {
        assert_eq!(explained(&d, unit, None).await.list_version, draft.cited_as, "{unit}");
    }
    assert_ne!(explained(&d, d.other_street, None).await.list_version, draft.cited_as);
    let late = d.taken_in(&resident).await;
    assert_eq!((late.street_unit_id, late.lead_org_id), (next.to_string(), before.lead_org_id.clone()));
    assert_eq!(late.routing.unwrap().list_version, draft.cited_as);
    let request = pb::GetListVersionRequest { list_version: 2 };
    let shown = desk.drafter.get_list_version(request).await.unwrap().into_inner().version.unwrap();
    assert_eq!((shown.state(), shown.canary_unit_id), (pb::ListState::Canary, next.to_string()));

    // What was decided before comes out the same, though its street is no more and its office sits elsewhere.
    for case in [&led_by_street, &before] {
        let request = pb::ReplayDecisionRequest { case_id: case.case_id.clone(), ..Default::default() };
        let replays = desk.drafter.replay_decision(request).await.unwrap().into_inner().replays;
        let outcomes: Vec<&str> = replays.iter().map(|replay| replay.outcome.as_str()).collect();
        assert_eq!(outcomes, ["identical"], "{replays:?}");
    }
    desk.roll_back(2).await.unwrap();
    assert_ne!(explained(&d, next, None).await.list_version, draft.cited_as);
    d.service.stop().await;
}

#[tokio::test]
async fn before_a_merger_each_street_is_explained_by_the_list_that_it_had() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let draft = desk.draft().await;
    desk.canary(2, d.street).await.unwrap();
    let before = Some("2026-03-02T12:00:00Z");
    d.service.clock().advance(std::time::Duration::from_secs(86_400));
    let next = merged(&d).await;
    joins(&d, next).await;
    for unit in [d.street, d.other_street, next] {
        assert_eq!(explained(&d, unit, None).await.list_version, draft.cited_as, "{unit}");
    }
    assert_eq!(explained(&d, d.street, before).await.list_version, draft.cited_as);
    let other = explained(&d, d.other_street, before).await;
    assert!(other.list_version.ends_with(".list-1"), "{}", other.list_version);
    d.service.stop().await;
}

#[tokio::test]
async fn a_version_takes_effect_on_its_day_and_the_past_is_explained_by_the_list_of_its_time() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    desk.draft().await;
    assert_eq!(desk.activate(2, "2026-03-01").await.unwrap_err().code(), Code::InvalidArgument);
    let scheduled = desk.activate(2, "2026-03-04").await.unwrap();
    assert_eq!(scheduled.state(), pb::ListState::Scheduled);
    assert!(explained(&d, d.community, None).await.list_version.ends_with(".list-1"));
    let later = explained(&d, d.community, Some("2026-03-04T00:00:00Z")).await;
    assert!(later.list_version.ends_with(".list-2"), "{}", later.list_version);

    d.service.clock().advance(std::time::Duration::from_secs(3 * 86_400));
    assert!(explained(&d, d.community, None).await.list_version.ends_with(".list-2"));
    let request = pb::ListListVersionsRequest::default();
    let versions = desk.drafter.list_list_versions(request).await.unwrap().into_inner().versions;
    let states: Vec<_> = versions.iter().map(|version| (version.list_version, version.state())).collect();
    assert_eq!(states, [(2, pb::ListState::InForce), (1, pb::ListState::Superseded)]);
    // A change reads the lists anew, without the entries of the ended version.
    desk.draft().await;
    let past = explained(&d, d.community, Some("2026-03-02T00:00:00Z")).await;
    assert_eq!(past.lead_org_id, d.office.to_string());
    assert!(past.list_version.ends_with(".list-1"), "{}", past.list_version);
    d.service.stop().await;
}

#[tokio::test]
async fn a_draft_is_compared_with_its_base_and_a_wrong_one_is_refused_by_row_and_field() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let draft = desk.draft().await;
    let request = pb::CompareListVersionsRequest { list_version: draft.list_version, ..Default::default() };
    let found = desk.drafter.compare_list_versions(request).await.unwrap().into_inner();
    let entries = desk.entries(1).await;
    let leads = entries.iter().filter(|entry| entry.part() == pb::ListPart::Lead).count();
    assert!(leads > 0);
    let counts = (found.added, found.removed as usize, found.changed as usize);
    assert_eq!(counts, (0, entries.len() - leads, leads));
    assert_eq!(found.differences.len(), entries.len());

    let lead = entries.iter().find(|entry| entry.part() == pb::ListPart::Lead).unwrap();
    let nowhere = pb::ListEntry { org_code: "gov:atlantis".into(), org_kind: String::new(), ..lead.clone() };
    let wrong = [
        (vec![pb::ListEntry { item_code: "XX-1".into(), ..lead.clone() }], vec![], "upserts[0].item_code"),
        (vec![lead.clone(), nowhere], vec![], "upserts[1].rule_id"),
        (vec![pb::ListEntry { part: 0, ..lead.clone() }], vec![], "upserts[0].part"),
        (vec![], vec!["R-NONE".to_owned()], "removed_rule_ids[0]"),
    ];
    for (upserts, removed_rule_ids, field) in wrong {
        let request = pb::CreateListVersionRequest {
            request_id: request_id(),
            upserts,
            removed_rule_ids,
            reason_code: "try".into(),
            ..Default::default()
        };
        let refused = desk.drafter.create_list_version(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(refused.message().starts_with(field), "{}", refused.message());
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_version_is_drafted_and_approved_by_two_persons_of_the_whole_district() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let both = Persona::new(Role::DistrictDispatcher, d.district);
    let both = both.also(Role::Arbiter, d.district);
    desk.drafter = client(&d, &both);
    desk.draft().await;
    desk.approver = client(&d, &both);
    let alone = desk.canary(2, d.street).await.unwrap_err();
    assert_eq!(alone.code(), Code::FailedPrecondition);
    assert!(alone.message().contains("two_persons"), "{}", alone.message());
    desk.approver = client(&d, &Persona::new(Role::Arbiter, d.street));
    assert_eq!(desk.canary(2, d.street).await.unwrap_err().code(), Code::PermissionDenied);
    desk.approver = client(&d, &Persona::new(Role::Arbiter, d.district));
    assert_eq!(desk.canary(2, d.community).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(desk.activate(7, "").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(desk.activate(2, "").await.unwrap().state(), pb::ListState::InForce);
    d.service.stop().await;
}

/// On every day, not only on that of the draft.
#[tokio::test]
async fn a_version_that_would_leave_an_item_to_nobody_is_neither_drafted_nor_put_in_force() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let entries = desk.entries(1).await;
    let leads = entries.iter().filter(|entry| entry.part() == pb::ListPart::Lead);
    let ended = pb::CreateListVersionRequest {
        request_id: request_id(),
        upserts: leads
            .map(|entry| pb::ListEntry { valid_to: "2026-03-10".into(), ..entry.clone() })
            .collect(),
        reason_code: "duty_moved".into(),
        ..Default::default()
    };
    let refused = desk.drafter.create_list_version(ended).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains(&format!("{ITEM} 2026-03-10")), "{refused}");

    // Drafted by a release that looked at the day of the draft alone.
    let version = desk.draft().await.list_version;
    let ends = async |day: &str| {
        let sql = format!(
            "UPDATE responsibility_entries SET valid_to = {day} \
             WHERE list_version = {version} AND item_code = '{ITEM}'"
        );
        d.service.db().conn().await.unwrap().batch_execute(&sql).await.unwrap();
    };
    ends("'2026-03-10'").await;
    for refused in [
        desk.activate(version, "").await,
        desk.activate(version, "2026-03-10").await,
        desk.canary(version, d.street).await,
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(&format!("{ITEM} 2026-03-10")), "{refused}");
    }
    ends("NULL").await;
    assert_eq!(desk.activate(version, "").await.unwrap().state(), pb::ListState::InForce);
    d.service.stop().await;
}

#[tokio::test]
async fn a_dry_run_counts_what_would_move_page_by_page_and_stores_nothing() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let resident = Persona::resident(d.district);
    d.taken_in(&resident).await;
    taken_in_next_door(&d, &resident).await;
    for _ in 0..2 {
        d.taken_in(&resident).await;
    }
    let version = desk.draft().await.list_version;
    let (mut compared, mut moved, mut page_token) = (0, BTreeMap::new(), String::new());
    loop {
        let request = pb::DryRunListVersionRequest {
            list_version: version,
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = desk.drafter.dry_run_list_version(request).await.unwrap().into_inner();
        compared += page.compared;
        assert_eq!(page.changed as usize, page.example_case_ids.len());
        for shift in page.shifts {
            assert_eq!(shift.item_code, ITEM);
            *moved.entry((shift.street_unit_id, shift.from_org_id)).or_insert(0) += shift.count;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let of = |street: Uuid, office: Uuid| (street.to_string(), office.to_string());
    let by_street = BTreeMap::from([(of(d.street, d.office), 3), (of(d.other_street, d.other_office), 1)]);
    assert_eq!((compared, moved), (4, by_street));
    let itself = pb::DryRunListVersionRequest { list_version: 1, ..Default::default() };
    let itself = desk.drafter.dry_run_list_version(itself).await.unwrap().into_inner();
    assert_eq!((itself.compared, itself.changed), (4, 0));
    let street = client(&d, &Persona::new(Role::Arbiter, d.other_street));
    let other = pb::DryRunListVersionRequest { list_version: version, ..Default::default() };
    let within_reach = { street }.dry_run_list_version(other).await.unwrap().into_inner();
    assert_eq!((within_reach.compared, within_reach.changed), (1, 1), "its own street's");
    d.service.stop().await;
}

#[tokio::test]
async fn a_decision_is_made_anew_by_the_version_that_it_cites() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let resident = Persona::resident(d.district);
    let old = d.taken_in(&resident).await;
    desk.draft().await;
    desk.activate(2, "").await.unwrap();
    let new = d.taken_in(&resident).await;
    let mut judge = client(&d, &Persona::new(Role::DistrictDispatcher, d.district));
    for case in [&old, &new] {
        let request = pb::ReplayDecisionRequest { case_id: case.case_id.clone(), ..Default::default() };
        let replays = judge.replay_decision(request).await.unwrap().into_inner().replays;
        let outcomes: Vec<_> = replays.iter().map(|replay| replay.outcome.as_str()).collect();
        assert_eq!(outcomes, ["identical"], "{:?}", replays[0].differences);
        assert_eq!(replays[0].decision.as_ref(), case.routing.as_ref());
    }
    let strange = pb::ReplayDecisionRequest { case_id: old.case_id, decision_id: request_id() };
    assert_eq!(judge.replay_decision(strange.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut stranger = client(&d, &Persona::new(Role::StreetDispatcher, d.other_street));
    let all = pb::ReplayDecisionRequest { decision_id: String::new(), ..strange };
    assert_eq!(stranger.replay_decision(all).await.unwrap_err().code(), Code::NotFound);
    d.service.stop().await;
}
