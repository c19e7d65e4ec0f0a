//! Grid patrol: registers, findings that open a case, are put right on the spot or repeat one, what was written down offline,
//! and coverage.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, PatrolEnded, patrol_service_client::PatrolServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
    topology::{Organization, OrganizationKind},
};
use chrono::TimeDelta;
use tonic::{Code, Status};

use crate::support::{District, names, request_id};

const GRID: &str = "420103005001001";
const OTHER_GRID: &str = "420103005001002";
const LAMP: &str = "4201030102000001";
const COVER: &str = "4201030101000002";
const LAMP_OUT: &str = "CJ-0103";
const COVER_MISSING: &str = "CJ-0102";
const LITTER: &str = "CJ-0112";

/// A district with the departments that the items belong to, and no draw but where safety is concerned.
pub async fn district(sample_percent: i64) -> District {
    let add = |changes: &mut chassis::topology::Changes| {
        let gov = changes.orgs[0].clone();
        for line in ["urban_management", "construction"] {
            changes.orgs.push(Organization {
                id: new_id(),
                code: format!("dept:{line}"),
                kind: OrganizationKind::Department,
                line: Some(line.to_owned()),
                ..gov.clone()
            });
        }
    };
    District::start_with(add, "sample_percent", sample_percent).await
}

impl District {
    pub fn patrols(&self, persona: &Persona) -> PatrolServiceClient<PeerChannel> {
        PatrolServiceClient::new(self.service.call_as(persona))
    }

    pub fn worker(&self) -> Persona {
        Persona::new(Role::GridWorker, self.community).org(self.station)
    }

    async fn imports_grids(&self, rows: &str) -> pb::ImportGridsResponse {
        let csv = format!("grid_code,community_code,name,valid_from,valid_to\n{rows}");
        let request = pb::ImportGridsRequest { request_id: request_id(), csv, dry_run: false };
        self.patrols(&self.dispatcher()).import_grids(request).await.unwrap().into_inner()
    }

    async fn imports(&self, rows: &str, dry_run: bool) -> pb::ImportComponentsResponse {
        let header = "component_code,class_code,subclass_code,name,grid_code,longitude,latitude,owner_org,state,valid_from";
        let request = pb::ImportComponentsRequest {
            request_id: request_id(),
            csv: format!("{header}\n{rows}"),
            dry_run,
        };
        self.patrols(&self.dispatcher()).import_components(request).await.unwrap().into_inner()
    }

    /// Two grids, a lamp and a manhole cover.
    pub async fn with_registers(&self) {
        let rows =
            format!("{GRID},420103005001,甲格,2026-01-01,\n{OTHER_GRID},420103005001,乙格,2026-01-01,\n");
        assert!(self.imports_grids(&rows).await.applied);
        let rows = format!(
            "{LAMP},01,02,路灯甲,{GRID},114.27,30.60,dept:urban_management,in_use,2026-01-01\n\
             {COVER},01,01,井盖甲,{GRID},,,dept:construction,in_use,2026-01-01\n"
        );
        let told = self.imports(&rows, false).await;
        assert!(told.applied, "{told:?}");
    }

    pub async fn starts(&self, persona: &Persona) -> pb::Patrol {
        let request =
            pb::StartPatrolRequest { request_id: request_id(), grid_code: GRID.into(), ..Default::default() };
        self.patrols(persona).start_patrol(request).await.unwrap().into_inner().patrol.unwrap()
    }

    pub async fn reports(
        &self,
        persona: &Persona,
        request: pb::ReportFindingRequest,
    ) -> Result<pb::ReportFindingResponse, Status> {
        self.patrols(persona).report_finding(request).await.map(tonic::Response::into_inner)
    }
}

pub fn lamp(patrol: &pb::Patrol) -> pb::ReportFindingRequest {
    pb::ReportFindingRequest {
        patrol_id: patrol.patrol_id.clone(),
        request_id: request_id(),
        item_code: LAMP_OUT.into(),
        component_code: LAMP.into(),
        text: "路灯不亮".into(),
        condition_met: true,
        before_refs: vec!["photo:1".into()],
        ..Default::default()
    }
}

pub fn cover(patrol: &pb::Patrol) -> pb::ReportFindingRequest {
    pb::ReportFindingRequest {
        item_code: COVER_MISSING.into(),
        component_code: COVER.into(),
        text: "井盖缺失，已补".into(),
        ..lamp(patrol)
    }
}

pub fn solved(request: pb::ReportFindingRequest) -> pb::ReportFindingRequest {
    pb::ReportFindingRequest { solved: true, after_refs: vec!["photo:2".into()], ..request }
}

#[tokio::test]
async fn registers_are_taken_whole_or_not_at_all_and_keep_their_history() {
    let d = district(0).await;
    let rows = format!("{GRID},420103005001,甲格,2026-01-01,\n{OTHER_GRID},420103005,乙格,2026-01-01,\n");
    let wrong = d.imports_grids(&rows).await;
    assert!(!wrong.applied);
    let [problem] = &wrong.problems[..] else { panic!("{wrong:?}") };
    assert_eq!((problem.row, problem.column.as_str()), (3, "community_code"));
    let list = async |persona: &Persona| {
        d.patrols(persona).list_grids(pb::ListGridsRequest::default()).await.unwrap().into_inner().grids
    };
    assert!(list(&d.dispatcher()).await.is_empty(), "nothing of a list with problems is taken");
    d.with_registers().await;
    assert_eq!(list(&d.worker()).await.len(), 2);
    assert!(list(&Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office)).await.is_empty());

    // The same list again changes nothing; a dry run neither; another version holds from its day on.
    let row = |state: &str, from: &str| {
        format!("{LAMP},01,02,路灯甲,{GRID},114.27,30.60,dept:urban_management,{state},{from}\n")
    };
    let again = d.imports(&row("in_use", "2026-01-01"), false).await;
    assert_eq!((again.added, again.changed, again.unchanged), (0, 0, 1));
    let dry = d.imports(&row("damaged", "2026-02-01"), true).await;
    assert_eq!((dry.changed, dry.applied), (1, false));
    assert_eq!(d.imports(&row("damaged", "2026-02-01"), false).await.changed, 1);
    let back = d.imports(&row("in_use", "2026-01-15"), false).await;
    assert_eq!((back.applied, back.problems[0].column.as_str()), (false, "valid_from"));
    let unknown = d.imports(&row("in_use", "2026-03-01").replace(GRID, "420103005001009"), false).await;
    assert_eq!((unknown.applied, unknown.problems[0].column.as_str()), (false, "grid_code"));
    let on = async |day: &str| {
        let request = pb::ListComponentsRequest {
            grid_code: GRID.into(),
            class_code: "01".into(),
            subclass_code: "02".into(),
            day: day.into(),
            ..Default::default()
        };
        d.patrols(&d.worker()).list_components(request).await.unwrap().into_inner().components
    };
    for (day, state) in [
        ("2026-01-31", Some(pb::ComponentState::InUse)),
        ("2026-02-01", Some(pb::ComponentState::Damaged)),
        ("", Some(pb::ComponentState::Damaged)),
        ("2025-12-31", None),
    ] {
        assert_eq!(on(day).await.first().map(pb::Component::state), state, "{day}");
    }
    let classes = d.patrols(&d.worker()).get_component_classes(pb::GetComponentClassesRequest {}).await;
    assert!(classes.unwrap().into_inner().classes.iter().any(|class| class.item_codes == [LAMP_OUT]));
    d.service.stop().await;
}

#[tokio::test]
async fn a_finding_becomes_a_case_and_the_next_one_about_it_repeats_it() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    assert_eq!(
        (patrol.state(), patrol.unit_id.as_str()),
        (pb::PatrolState::Walking, d.community.to_string().as_str())
    );
    let request = pb::ReportFindingRequest { longitude: Some(114.27), latitude: Some(30.6), ..lamp(&patrol) };
    let found = d.reports(&worker, request.clone()).await.unwrap();
    let finding = found.finding.clone().unwrap();
    assert_eq!((finding.outcome(), finding.longitude), (pb::FindingOutcome::Case, Some(114.27)));
    let told = names(&d.service.drain_outbox().await);
    assert_eq!(told[..3], ["CaseRegistered", "CaseAccepted", "CaseTriaged"], "{told:?}");
    let case = pb::Case { case_id: finding.case_id.clone(), ..Default::default() };
    let read = d.read(&case).await;
    assert_eq!(
        (read.origin(), read.channel(), read.nature()),
        (pb::Origin::Patrol, pb::Channel::Patrol, pb::Nature::Component)
    );
    assert_eq!(
        (read.case_no.as_str(), read.first_receiver_org_id.as_str()),
        (found.case_no.as_str(), d.station.to_string().as_str())
    );
    assert!(!read.solved_on_spot);
    let point = pb::GeoPoint { longitude_e6: Some(114_270_000), latitude_e6: Some(30_600_000) };
    assert_eq!((read.grid_code.as_str(), read.point), (GRID, Some(point)), "of the patrol and the finding");
    assert_eq!(d.reports(&worker, request).await.unwrap(), found, "the same request answers the same");

    // Another walk, another worker: told of the open case, linked to it, and none is opened.
    let other = d.worker();
    let second = d.starts(&other).await;
    d.service.drain_outbox().await;
    let repeat = d.reports(&other, solved(lamp(&second))).await.unwrap();
    let twin = repeat.finding.unwrap();
    assert_eq!(
        (twin.outcome(), twin.case_id.clone()),
        (pb::FindingOutcome::Duplicate, finding.case_id.clone())
    );
    assert_eq!(repeat.case_no, found.case_no);
    assert!(d.service.drain_outbox().await.is_empty());
    let end = pb::EndPatrolRequest {
        patrol_id: second.patrol_id.clone(),
        request_id: request_id(),
        end_time: None,
    };
    let ended = d.patrols(&other).end_patrol(end).await.unwrap().into_inner().patrol.unwrap();
    assert_eq!((ended.state(), ended.finding_count, ended.duplicate_count), (pb::PatrolState::Ended, 1, 1));
    let events = d.service.drain_outbox().await;
    let told: PatrolEnded = events.iter().find(|event| event.is::<PatrolEnded>()).unwrap().decode().unwrap();
    assert_eq!((told.grid_code.as_str(), told.finding_count, told.duplicate_count), (GRID, 1, 1));
    let after = d.reports(&other, lamp(&second)).await.unwrap_err();
    assert_eq!(after.code(), Code::FailedPrecondition);
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_put_right_on_the_spot_is_closed_and_safety_is_always_checked_by_others() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    d.service.drain_outbox().await;
    let done = d.reports(&worker, solved(lamp(&patrol))).await.unwrap();
    assert_eq!(
        (done.finding.clone().unwrap().outcome(), done.case_state()),
        (pb::FindingOutcome::Solved, pb::CaseState::Closed)
    );
    let told = names(&d.service.drain_outbox().await);
    assert_eq!(told, ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseSolvedOnSpot", "CaseClosed"]);
    // Over: the same lamp, out again, is a matter of its own.
    let again = d.reports(&worker, lamp(&patrol)).await.unwrap();
    assert_eq!(again.finding.unwrap().outcome(), pb::FindingOutcome::Case);

    let done = d.reports(&worker, solved(cover(&patrol))).await.unwrap();
    assert_eq!(done.case_state(), pb::CaseState::Verifying);
    let case_id = done.finding.unwrap().case_id;
    let verify = pb::VerifyCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        method: "on_site".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::NotDue.into(),
        ..Default::default()
    };
    // Not by the finder's own organisation.
    let own = Persona::new(Role::Verifier, d.district).org(d.station);
    let refused = VerificationServiceClient::new(d.service.call_as(&own)).verify_case(verify.clone()).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let mut verifier = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    let checked = verifier.verify_case(verify).await.unwrap().into_inner().case.unwrap();
    assert_eq!((checked.state(), checked.solved_on_spot), (pb::CaseState::Closed, true));
    let list = pb::GetPatrolRequest { patrol_id: patrol.patrol_id.clone() };
    let seen = d.patrols(&d.dispatcher()).get_patrol(list).await.unwrap().into_inner();
    assert_eq!((seen.findings.len(), seen.patrol.unwrap().solved_count), (3, 2));
    d.service.stop().await;
}

#[tokio::test]
async fn a_finding_without_its_conditions_names_the_field() {
    let d = district(100).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let good = || lamp(&patrol);
    let at = |moved: TimeDelta| Some(to_proto(d.service.clock().now() + moved));
    let cases: Vec<(&str, pb::ReportFindingRequest)> = vec![
        ("condition_met", pb::ReportFindingRequest { condition_met: false, ..good() }),
        ("before_refs", pb::ReportFindingRequest { before_refs: vec![], ..good() }),
        ("after_refs", pb::ReportFindingRequest { solved: true, ..good() }),
        ("after_refs", pb::ReportFindingRequest { after_refs: vec!["photo:2".into()], ..good() }),
        ("component_code", pb::ReportFindingRequest { component_code: String::new(), ..good() }),
        ("component_code", pb::ReportFindingRequest { component_code: "4201030102000009".into(), ..good() }),
        ("item_code", pb::ReportFindingRequest { component_code: COVER.into(), ..good() }),
        ("item_code", pb::ReportFindingRequest { item_code: "CJ-0142".into(), ..good() }),
        ("place_unit_id", pb::ReportFindingRequest { place_unit_id: d.other_street.to_string(), ..good() }),
        ("latitude", pb::ReportFindingRequest { longitude: Some(114.0), ..good() }),
        ("longitude", pb::ReportFindingRequest { longitude: Some(400.0), latitude: Some(30.0), ..good() }),
        ("found_time", pb::ReportFindingRequest { found_time: at(TimeDelta::minutes(1)), ..good() }),
        ("found_time", pb::ReportFindingRequest { found_time: at(-TimeDelta::minutes(1)), ..good() }),
    ];
    for (field, request) in cases {
        let refused = d.reports(&worker, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused}");
        assert!(refused.message().starts_with(field), "{field}: {refused}");
    }
    // An event needs no component; drawn by everybody, it is checked.
    let litter =
        pb::ReportFindingRequest { item_code: LITTER.into(), component_code: String::new(), ..good() };
    assert_eq!(d.reports(&worker, solved(litter)).await.unwrap().case_state(), pb::CaseState::Verifying);
    // A patrol of somebody else does not exist for reporting on it.
    assert_eq!(d.reports(&d.worker(), good()).await.unwrap_err().code(), Code::NotFound);
    d.service.stop().await;
}

#[tokio::test]
async fn what_was_written_down_offline_is_taken_once() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let started = d.service.clock().now() - TimeDelta::hours(5);
    let start = |request_id: String, client_ref: &str| pb::StartPatrolRequest {
        request_id,
        grid_code: GRID.into(),
        client_ref: client_ref.into(),
        start_time: Some(to_proto(started)),
    };
    let mut client = d.patrols(&worker);
    let patrol =
        client.start_patrol(start(request_id(), "walk-1")).await.unwrap().into_inner().patrol.unwrap();
    // Sent again because the answer was lost, with another request id.
    let again =
        client.start_patrol(start(request_id(), "walk-1")).await.unwrap().into_inner().patrol.unwrap();
    assert_eq!(again, patrol);
    let twice = client.start_patrol(start(request_id(), "walk-2")).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
    let finding = |request_id: String| pb::ReportFindingRequest {
        request_id,
        client_ref: "f-1".into(),
        found_time: Some(to_proto(started + TimeDelta::hours(1))),
        ..lamp(&patrol)
    };
    let first = d.reports(&worker, finding(request_id())).await.unwrap();
    d.service.drain_outbox().await;
    let second = d.reports(&worker, finding(request_id())).await.unwrap();
    assert_eq!(second.finding, first.finding);
    assert!(d.service.drain_outbox().await.is_empty(), "nothing is done twice");
    let end = |at: TimeDelta| pb::EndPatrolRequest {
        patrol_id: patrol.patrol_id.clone(),
        request_id: request_id(),
        end_time: Some(to_proto(started + at)),
    };
    let early = client.end_patrol(end(TimeDelta::minutes(30))).await.unwrap_err();
    assert_eq!(early.code(), Code::InvalidArgument);
    assert_eq!(
        client.end_patrol(end(TimeDelta::hours(2))).await.unwrap().into_inner().patrol.unwrap().finding_count,
        1
    );
    let old = pb::StartPatrolRequest {
        start_time: Some(to_proto(d.service.clock().now() - TimeDelta::days(4))),
        ..start(request_id(), "walk-3")
    };
    assert_eq!(client.start_patrol(old).await.unwrap_err().code(), Code::InvalidArgument);
    d.service.stop().await;
}

#[tokio::test]
async fn coverage_shows_grids_that_nobody_walked_and_a_forgotten_walk_ends_with_its_last_finding() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    d.service.clock().advance(Duration::from_secs(30 * 60));
    let litter =
        pb::ReportFindingRequest { item_code: LITTER.into(), component_code: String::new(), ..lamp(&patrol) };
    d.reports(&worker, litter).await.unwrap();
    d.service.clock().advance(Duration::from_secs(20 * 3600));
    d.starts(&worker).await;
    let get = pb::GetPatrolRequest { patrol_id: patrol.patrol_id };
    let first = d.patrols(&worker).get_patrol(get.clone()).await.unwrap().into_inner().patrol.unwrap();
    assert!(first.forgotten);
    let request = pb::GetPatrolCoverageRequest { unit_id: d.street.to_string(), ..Default::default() };
    let seen = d.patrols(&d.dispatcher()).get_patrol_coverage(request.clone()).await.unwrap().into_inner();
    assert_eq!((seen.grids_in_force, seen.grids_patrolled, seen.patrols, seen.findings), (2, 1, 2, 1));
    assert_eq!(seen.findings_per_patrol, Some(0.5));
    let walked = seen.grids.iter().find(|grid| grid.grid_code == GRID).unwrap();
    assert_eq!((walked.patrols, walked.minutes, walked.last_day.as_str()), (2, 30, "2026-03-03"));
    let other = seen.grids.iter().find(|grid| grid.grid_code == OTHER_GRID).unwrap();
    assert_eq!((other.patrols, other.last_day.as_str()), (0, ""));
    // Nobody else's street; and nobody else's patrols.
    let stranger = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let mut foreign = d.patrols(&stranger);
    assert_eq!(foreign.get_patrol_coverage(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(foreign.get_patrol(get).await.unwrap_err().code(), Code::NotFound);
    let all = pb::ListPatrolsRequest::default();
    assert!(foreign.list_patrols(all.clone()).await.unwrap().into_inner().patrols.is_empty());
    assert_eq!(d.patrols(&worker).list_patrols(all).await.unwrap().into_inner().patrols.len(), 2);
    let elsewhere =
        pb::StartPatrolRequest { request_id: request_id(), grid_code: GRID.into(), ..Default::default() };
    let far = Persona::new(Role::GridWorker, d.other_street).org(d.other_office);
    assert_eq!(d.patrols(&far).start_patrol(elsewhere).await.unwrap_err().code(), Code::NotFound);
    d.service.stop().await;
}
