//! The catalogue and the responsibility list as files: exported, imported with everything that is wrong told by row, put in force
//! by a second person; and a case of an item with stages whose entries have conditions.

use std::time::Duration;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, catalogue_maintenance_service_client::CatalogueMaintenanceServiceClient,
        catalogue_service_client::CatalogueServiceClient, intake_service_client::IntakeServiceClient,
        responsibility_service_client::ResponsibilityServiceClient,
    },
    testing::Persona,
    topology::Changes,
};
use tonic::{Code, Status};

use crate::support::{District, ITEM, names, request_id};

type Client = CatalogueMaintenanceServiceClient<PeerChannel>;
type Lists = ResponsibilityServiceClient<PeerChannel>;

const NEW: &str = "item_code,name_zh,name_en,category,nature,lines,item_kind,urgency,promised_limit,stages,sla_profile,channels\n\
    CJ-0999,墙体渗水抢修,Wall leak,城乡建设,component,housing,public_facility,urgent,5 work_day,\
    secure|围护|Secure|2 cal_hour; repair|修复|Repair|2 work_day,component,window;phone;app\n";

struct Desk {
    drafter: Client,
    approver: Client,
    lists: Lists,
    rulers: Lists,
}

impl Desk {
    fn of(d: &District) -> Self {
        let drafter = Persona::new(Role::DistrictDispatcher, d.district);
        let approver = Persona::new(Role::Arbiter, d.district);
        Self {
            drafter: Client::new(d.service.call_as(&drafter)),
            approver: Client::new(d.service.call_as(&approver)),
            lists: Lists::new(d.service.call_as(&drafter)),
            rulers: Lists::new(d.service.call_as(&approver)),
        }
    }

    async fn import(&mut self, file: impl Into<Vec<u8>>) -> Result<pb::ImportCatalogueResponse, Status> {
        let request = pb::ImportCatalogueRequest {
            request_id: request_id(),
            file: file.into(),
            format: pb::TableFormat::Csv.into(),
            reason_code: "yearly_review".into(),
            ..Default::default()
        };
        self.drafter.import_catalogue(request).await.map(tonic::Response::into_inner)
    }

    async fn import_list(&mut self, file: &str) -> pb::ImportListVersionResponse {
        let request = pb::ImportListVersionRequest {
            request_id: request_id(),
            file: file.into(),
            format: pb::TableFormat::Csv.into(),
            reason_code: "new_item".into(),
            ..Default::default()
        };
        self.lists.import_list_version(request).await.unwrap().into_inner()
    }

    async fn activate(&mut self, version: i32, day: &str) -> Result<pb::CatalogueVersion, Status> {
        let request = pb::ActivateCatalogueVersionRequest {
            catalogue_version: version,
            request_id: request_id(),
            effective_on: day.into(),
        };
        let answer = self.approver.activate_catalogue_version(request).await;
        answer.map(|answer| answer.into_inner().version.unwrap())
    }

    async fn roll_back(&mut self, version: i32) -> Result<pb::CatalogueVersion, Status> {
        let request = pb::RollBackCatalogueVersionRequest {
            catalogue_version: version,
            request_id: request_id(),
            reason_code: "wrong_limits".into(),
        };
        let answer = self.drafter.roll_back_catalogue_version(request).await;
        answer.map(|answer| answer.into_inner().version.unwrap())
    }

    async fn versions(&mut self) -> Vec<(i32, pb::ListState)> {
        let request = pb::ListCatalogueVersionsRequest::default();
        let versions = self.drafter.list_catalogue_versions(request).await.unwrap().into_inner().versions;
        versions.iter().map(|version| (version.catalogue_version, version.state())).collect()
    }
}

/// The version of an item that residents are shown.
async fn item(channel: PeerChannel, code: &str) -> Option<pb::ServiceItem> {
    let request = pb::GetServiceItemRequest { item_code: code.into() };
    match CatalogueServiceClient::new(channel).get_service_item(request).await {
        Ok(answer) => answer.into_inner().item,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{status}"),
    }
}

#[tokio::test]
async fn what_may_be_asked_for_is_listed_for_everybody_by_code_and_by_category_page_by_page() {
    const LAND: &str = "国土资源";
    let d = District::start().await;
    let mut anybody = CatalogueServiceClient::new(d.service.call_anonymously());
    let mut listed = async |page_size: i32, category: &str| {
        let (mut codes, mut sizes, mut page_token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let category = category.to_owned();
            let request = pb::ListServiceItemsRequest { page_size, page_token, category };
            let page = anybody.list_service_items(request).await.unwrap().into_inner();
            sizes.push(page.items.len());
            codes.extend(page.items.into_iter().map(|item| item.item_code));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return (codes, sizes);
            }
        }
    };
    let known = |category: &str| {
        let items = case_routing::seed::catalogue().items.iter();
        let of_it = items.filter(|item| category.is_empty() || item.category == category);
        let mut codes: Vec<String> = of_it.map(|item| item.item_code.clone()).collect();
        codes.sort_unstable();
        codes
    };
    let (codes, sizes) = listed(1, LAND).await;
    assert!(codes.len() > 2 && sizes.iter().all(|size| *size == 1), "{codes:?}: {sizes:?}");
    assert_eq!(codes, known(LAND));
    let (codes, sizes) = listed(200, "").await;
    assert_eq!((codes, sizes[0]), (known(""), 200));
    assert_eq!(listed(50, "什么也不是").await, (Vec::new(), vec![0]));
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_looks_an_item_up_is_told_what_to_bring_where_to_go_and_when_it_is_done() {
    const HOUSING: &str = "CJ-0131";
    let d = District::start().await;
    let shown = item(d.service.call_anonymously(), HOUSING).await.expect("an item of the shipped catalogue");
    let items = &case_routing::seed::catalogue().items;
    let known = items.iter().find(|item| item.item_code == HOUSING).unwrap();
    assert!(known.materials.len() > 1 && known.channels.len() > 1);
    assert_eq!(shown.material_codes, known.materials);
    let ways = shown.channels().map(|way| way.as_str_name().to_owned()).collect::<Vec<_>>();
    let listed = known.channels.iter().map(|way| format!("CHANNEL_{}", way.as_str().to_ascii_uppercase()));
    assert_eq!(ways, listed.collect::<Vec<_>>());
    assert!(!known.open_condition.is_empty() && known.open_condition != known.close_condition);
    assert_eq!((&shown.guide_zh, &shown.close_condition_zh), (&known.open_condition, &known.close_condition));
    d.service.stop().await;
}

#[tokio::test]
async fn catalogue_and_list_go_out_and_come_in_without_a_difference() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    for (format, english) in [(pb::TableFormat::Csv, true), (pb::TableFormat::Xlsx, false)] {
        let request = pb::ExportCatalogueRequest { format: format.into(), english, ..Default::default() };
        let out = desk.drafter.export_catalogue(request).await.unwrap().into_inner();
        let request = pb::ImportCatalogueRequest {
            request_id: request_id(),
            file: out.file,
            format: format.into(),
            whole: true,
            reason_code: "again".into(),
            ..Default::default()
        };
        let found = desk.drafter.import_catalogue(request).await.unwrap().into_inner();
        assert_eq!((found.problems, found.changes, found.version), (vec![], vec![], None));
        assert_eq!((found.rows, found.unchanged), (out.rows, out.rows));

        let request = pb::ExportListVersionRequest { format: format.into(), english, ..Default::default() };
        let out = desk.lists.export_list_version(request).await.unwrap().into_inner();
        let request = pb::ImportListVersionRequest {
            request_id: request_id(),
            file: out.file,
            format: format.into(),
            whole: true,
            reason_code: "again".into(),
            ..Default::default()
        };
        let found = desk.lists.import_list_version(request).await.unwrap().into_inner();
        assert_eq!((found.problems, found.differences, found.version), (vec![], vec![], None));
        assert_eq!((found.rows, found.unchanged), (out.rows, out.rows));
    }
    assert_eq!(desk.versions().await, [(1, pb::ListState::InForce)], "nothing was drafted");
    d.service.stop().await;
}

#[tokio::test]
async fn lists_that_name_the_government_of_another_district_are_changed_in_this_one_all_the_same() {
    let rename = |topology: &mut Changes| {
        let gov = topology.orgs.iter_mut().find(|org| org.code == "gov:420103").unwrap();
        gov.code = "gov:420199".into();
    };
    let d = District::start_with(rename, "sweep_ms", 1_000).await;
    let mut desk = Desk::of(&d);
    assert!(desk.import(NEW).await.unwrap().problems.is_empty());
    desk.activate(2, "").await.unwrap();
    let list = "rule_id,item_code,part,org_code,basis_doc\nN-1,CJ-0999,lead,gov:420199,清单\n";
    let drafted = desk.import_list(list).await;
    assert_eq!((drafted.problems, drafted.added), (vec![], 1));

    // What nobody is competent for goes to it, too: no department is in these tests.
    let request = pb::ExplainRouteRequest {
        item_code: "CJ-0101".into(),
        unit_id: d.community.to_string(),
        ..Default::default()
    };
    let mut window = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let decision = window.explain_route(request).await.unwrap().into_inner().decision.unwrap();
    assert_eq!(decision.lead_org_id, d.gov.to_string());
    d.service.stop().await;
}

#[tokio::test]
async fn all_that_is_wrong_in_a_file_is_told_at_once_and_nothing_is_stored() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let file = "item_code,name_zh,promised_limit,channels\n\
        CJ-0101,,soon,window\n\
        \n\
        CJ-0102,井盖,99 work_day,pigeon\n";
    let found = desk.import(file).await.unwrap();
    let told: Vec<_> = found.problems.iter().map(|p| (p.row, p.column.as_str(), p.code.as_str())).collect();
    let expected = [
        (2, "name_zh", "required"),
        (2, "promised_limit", "not_a_limit"),
        (2, "channels", "too_few_channels"),
        (4, "channels", "unknown_value"),
        (4, "promised_limit", "promised_longer"),
    ];
    assert_eq!(told, expected);
    assert!(found.problems.iter().all(|p| !p.text_zh.is_empty() && !p.text_en.is_empty()));
    assert_eq!((found.version, desk.versions().await.len()), (None, 1));

    let found = desk
        .import_list(
            "rule_id,item_code,part,org_kind,basis_doc,condition\nN-1,CJ-0101,lead,committee,d,x=1\n",
        )
        .await;
    let told: Vec<_> = found.problems.iter().map(|p| (p.row, p.column.as_str(), p.code.as_str())).collect();
    assert_eq!(told, [(2, "condition", "not_a_condition"), (2, "part", "community_leads")]);
    assert_eq!(found.version, None);

    for (file, format, message) in [
        (&b""[..], 1, "file"),
        (&[0xff, 0xfe][..], 1, "file is not UTF-8"),
        (&b"a,b"[..], 2, "file is no XLSX workbook"),
        (&b"a,b"[..], 0, "format"),
        (&b"a,b"[..], 9, "format"),
    ] {
        let request = pb::ImportCatalogueRequest {
            request_id: request_id(),
            file: file.to_vec(),
            format,
            reason_code: "try".into(),
            ..Default::default()
        };
        let refused = desk.drafter.import_catalogue(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().replace(':', "").contains(message), "{}", refused.message());
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_version_takes_effect_on_its_day_and_cases_keep_the_one_they_were_opened_with() {
    let d = District::start_with(|_| {}, "sweep_ms", 20).await;
    let other = d.another().await;
    let mut desk = Desk::of(&d);
    let resident = Persona::resident(d.district);
    let shown = async || item(d.service.call_as(&resident), ITEM).await;
    let elsewhere = async || item(d.call_at(other.addr, &resident), ITEM).await;
    let early = d.taken_in(&resident).await;
    let before = shown().await.unwrap();
    assert_eq!(before.version, 1);

    // Of the shipped partners this district has one.
    let file = format!(
        "item_code,promised_limit,offer_chain,retention_days\n{ITEM},3 work_day,social_org:yigong,30\n"
    );
    let draft = desk.import(file).await.unwrap();
    assert_eq!((draft.changed, draft.added, draft.ended, draft.changes.len()), (1, 0, 0, 1), "{draft:?}");
    let field = &draft.changes[0].fields[0];
    assert_eq!((field.column.as_str(), field.after.as_str()), ("promised_limit", "3 work_day"));
    let version = draft.version.unwrap();
    assert_eq!((version.catalogue_version, version.state()), (2, pb::ListState::Draft));
    assert_eq!(desk.activate(2, "2026-03-01").await.unwrap_err().code(), Code::InvalidArgument);
    let scheduled = desk.activate(2, "2026-03-04").await.unwrap();
    assert_eq!(scheduled.state(), pb::ListState::Scheduled);
    assert_eq!(shown().await.unwrap().version, 1, "its day has not come");
    let another = desk.import("item_code,name_zh\nCJ-0101,道路破损\n").await.unwrap();
    let another = another.version.unwrap().catalogue_version;
    let waits = desk.activate(another, "").await.unwrap_err();
    assert!(waits.message().contains("catalogue_scheduled"), "{}", waits.message());

    d.service.clock().advance(Duration::from_secs(3 * 86_400));
    let after = shown().await.unwrap();
    assert_eq!((after.version, after.promised_limit.unwrap().amount), (2, 3));
    assert_eq!((before.retention_days, after.retention_days), (0, 30), "as the cell keeps all; 30 days");
    d.service
        .wait_for("the item on the other replica", async || {
            elsewhere().await.is_some_and(|item| item.version == 2)
        })
        .await;
    let late = d.taken_in(&resident).await;
    let promised = |case: &pb::Case| {
        let clock = case.clocks.iter().find(|clock| clock.kind() == pb::ClockKind::Resolve).unwrap();
        clock.limit.unwrap().amount
    };
    assert_eq!(promised(&late), 3);
    assert_eq!(promised(&d.read(&early).await), before.promised_limit.unwrap().amount);
    assert_eq!(desk.activate(another, "").await.unwrap().state(), pb::ListState::InForce);

    let back = desk.roll_back(2).await.unwrap();
    assert_eq!(back.state(), pb::ListState::Withdrawn);
    assert_eq!(shown().await.unwrap().version, 1);
    assert_eq!(promised(&d.read(&late).await), 3, "what was opened with it keeps it");
    d.resolve(&late).await;
    assert_eq!(desk.roll_back(2).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(desk.roll_back(1).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(desk.activate(9, "").await.unwrap_err().code(), Code::NotFound);
    let request = pb::GetCatalogueVersionRequest { catalogue_version: another };
    let told = desk.drafter.get_catalogue_version(request).await.unwrap().into_inner();
    assert_eq!(told.changes[0].fields[0].after, "道路破损");
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn two_persons_of_the_whole_district_change_the_catalogue_and_an_item_ends() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let both = Persona::new(Role::DistrictDispatcher, d.district).also(Role::Arbiter, d.district);
    desk.drafter = Client::new(d.service.call_as(&both));
    desk.approver = Client::new(d.service.call_as(&both));
    let file = || "item_code,name_zh\nCJ-0101,道路破损\n".to_owned();
    assert_eq!(desk.import(file()).await.unwrap().version.unwrap().catalogue_version, 2);
    let alone = desk.activate(2, "").await.unwrap_err();
    assert!(alone.message().contains("two_persons"), "{}", alone.message());
    desk.approver = Client::new(d.service.call_as(&Persona::new(Role::Arbiter, d.street)));
    assert_eq!(desk.activate(2, "").await.unwrap_err().code(), Code::PermissionDenied);
    let street = Persona::new(Role::DistrictDispatcher, d.street);
    desk.drafter = Client::new(d.service.call_as(&street));
    assert_eq!(desk.import(file()).await.unwrap_err().code(), Code::PermissionDenied);
    let unread = desk.import("\"no table").await.unwrap_err();
    assert_eq!(unread.code(), Code::PermissionDenied, "nobody's file is read before their right is known");

    let mut desk = Desk::of(&d);
    let request = pb::ExportCatalogueRequest { format: pb::TableFormat::Csv.into(), ..Default::default() };
    let out = desk.drafter.export_catalogue(request).await.unwrap().into_inner().file;
    let out = String::from_utf8(out).unwrap();
    let without: String =
        out.split_inclusive("\r\n").filter(|line| !line.starts_with("\"CJ-0102\"")).collect();
    let request = pb::ImportCatalogueRequest {
        request_id: request_id(),
        file: without.into_bytes(),
        format: pb::TableFormat::Csv.into(),
        whole: true,
        dry_run: true,
        ..Default::default()
    };
    let dry = desk.drafter.import_catalogue(request.clone()).await.unwrap().into_inner();
    assert_eq!((dry.ended, dry.version), (1, None));
    assert_eq!(dry.changes[0].kind(), pb::ItemChangeKind::Ended);
    let request = pb::ImportCatalogueRequest { dry_run: false, reason_code: "ended".into(), ..request };
    let drafted = desk.drafter.import_catalogue(request).await.unwrap().into_inner().version.unwrap();
    desk.activate(drafted.catalogue_version, "").await.unwrap();
    let resident = Persona::resident(d.district);
    assert!(item(d.service.call_as(&resident), "CJ-0102").await.is_none());
    let request = pb::IntakeCaseRequest { item_code: "CJ-0102".into(), ..d.intake_request(&resident) };
    assert_eq!(d.cases(&d.window()).intake_case(request).await.unwrap_err().code(), Code::InvalidArgument);
    // What was drafted before is past.
    let moved = desk.activate(2, "").await.unwrap_err();
    assert!(moved.message().contains("catalogue_moved"), "{}", moved.message());
    desk.roll_back(drafted.catalogue_version).await.unwrap();
    assert!(item(d.service.call_as(&resident), "CJ-0102").await.is_some());
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_of_a_new_item_goes_by_conditions_and_through_its_stages() {
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let drafted = desk.import(NEW).await.unwrap();
    assert_eq!((&drafted.problems, drafted.without_lead_item_codes), (&vec![], vec!["CJ-0999".to_owned()]));
    desk.activate(2, "").await.unwrap();
    let list = "rule_id,item_code,part,org_code,condition,basis_doc\n\
        N-1,CJ-0999,lead,gov:420103,,清单\n\
        N-2,CJ-0999,lead,street_office:420103005,urgency=urgent & time=working,清单\n";
    let drafted = desk.import_list(list).await;
    assert_eq!((drafted.problems, drafted.added), (vec![], 2));
    let request = pb::ActivateListVersionRequest {
        list_version: drafted.version.unwrap().list_version,
        request_id: request_id(),
        ..Default::default()
    };
    desk.rulers.activate_list_version(request).await.unwrap();

    let resident = Persona::resident(d.district);
    let request = pb::IntakeCaseRequest { item_code: "CJ-0999".into(), ..d.intake_request(&resident) };
    let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.lead_org_id, d.office.to_string());
    // At night the street's entry does not apply, and the explanation says why.
    let persona = Persona::new(Role::DistrictDispatcher, d.district);
    let explain = pb::ExplainRouteRequest {
        item_code: "CJ-0999".into(),
        unit_id: d.community.to_string(),
        at_time: Some("2026-03-02T15:00:00Z".parse().unwrap()),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&persona));
    let night = intake.explain_route(explain).await.unwrap().into_inner().decision.unwrap();
    assert_eq!(night.lead_org_id, d.gov.to_string());
    let street = night.candidates.iter().find(|candidate| candidate.rule_id == "N-2").unwrap();
    let why = street.rejected.as_ref().unwrap();
    assert_eq!((why.code.as_str(), why.arguments["found"].as_str()), ("condition_unmet", "time=off"));
    let replay = pb::ReplayDecisionRequest { case_id: case.case_id.clone(), ..Default::default() };
    let replays = desk.lists.replay_decision(replay).await.unwrap().into_inner().replays;
    assert_eq!(replays[0].outcome, "identical", "{:?}", replays[0].differences);

    let mut tasks = d.tasks(&d.leader());
    let stages = |case: &pb::Case| -> Vec<(String, bool, bool)> {
        let told = case.stages.iter();
        told.map(|s| (s.stage_code.clone(), s.start_time.is_some(), s.done_time.is_some())).collect()
    };
    let named = |secure: (bool, bool), repair: (bool, bool)| {
        vec![("secure".to_owned(), secure.0, secure.1), ("repair".to_owned(), repair.0, repair.1)]
    };
    assert_eq!(stages(&case), named((false, false), (false, false)));
    let complete_stage = |code: &str| pb::CompleteStageRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        stage_code: code.into(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    let early = tasks.complete_stage(complete_stage("secure")).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    tasks.sign_task(sign).await.unwrap();
    let contact = pb::ContactRequesterRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "visit".into(),
        ..Default::default()
    };
    let begun = tasks.contact_requester(contact).await.unwrap().into_inner().case.unwrap();
    assert_eq!(stages(&begun), named((true, false), (false, false)));
    let clock = begun.clocks.iter().find(|clock| clock.kind() == pb::ClockKind::Stage).unwrap();
    assert_eq!(clock.limit.unwrap().amount, 2);
    let complete = || pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:2".into()],
        ..Default::default()
    };
    let refused = tasks.complete_case(complete()).await.unwrap_err();
    assert!(refused.message().contains("stage_outstanding"), "{}", refused.message());
    let wrong = tasks.complete_stage(complete_stage("repair")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().starts_with("stage_code"), "{}", wrong.message());
    d.told().await;
    let next = tasks.complete_stage(complete_stage("secure")).await.unwrap().into_inner().case.unwrap();
    assert_eq!(stages(&next), named((true, true), (true, false)));
    let events = d.service.drain_outbox().await;
    assert_eq!(names(&events), ["CaseStageCompleted"]);
    let told = events[0].decode::<pb::CaseStageCompleted>().unwrap();
    assert_eq!((told.in_time, told.next_stage_code.as_str()), (true, "repair"));
    tasks.complete_stage(complete_stage("repair")).await.unwrap();
    let done = tasks.complete_case(complete()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(done.state(), pb::CaseState::Verifying);
    d.service.stop().await;
}

/// Whoever asks, but at another window: there it is received.
#[tokio::test]
async fn a_matter_of_unclear_lines_is_explained_as_it_goes_from_the_nearest_window() {
    const UNCLEAR: &str = "CJ-0101";
    let d = District::start().await;
    let mut desk = Desk::of(&d);
    let file = format!("item_code,department_item,lead_line_unclear\n{UNCLEAR},no,yes\n");
    let drafted = desk.import(file).await.unwrap();
    assert!(drafted.problems.is_empty(), "{:?}", drafted.problems);
    desk.activate(drafted.version.unwrap().catalogue_version, "").await.unwrap();
    let explained = async |persona: &Persona| {
        let request = pb::ExplainRouteRequest {
            item_code: UNCLEAR.into(),
            unit_id: d.community.to_string(),
            ..Default::default()
        };
        let mut intake = IntakeServiceClient::new(d.service.call_as(persona));
        intake.explain_route(request).await.unwrap().into_inner().decision.unwrap()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district);
    let people = [district.clone().org(d.gov), district, d.window()];
    let mut told = Vec::new();
    for persona in &people {
        told.push(explained(persona).await);
    }

    let resident = Persona::resident(d.district);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.first_receiver_org_id, d.station.to_string());
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let case_id = case.case_id;
    let accept =
        pb::AcceptCaseRequest { case_id: case_id.clone(), request_id: request_id(), ..Default::default() };
    intake.accept_case(accept).await.unwrap();
    let triage = pb::TriageCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        item_code: UNCLEAR.into(),
        ..Default::default()
    };
    intake.triage_case(triage).await.unwrap();
    let dispatch = pb::DispatchCaseRequest { case_id, request_id: request_id(), ..Default::default() };
    let case = intake.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    let decided = case.routing.unwrap();
    // A community leads only its statutory duties, so its street does.
    assert_eq!(decided.lead_org_id, d.office.to_string());
    assert!(decided.reasons.iter().any(|reason| reason.code == "above_first_receiver_leads"));
    for told in &told {
        assert_eq!(told.lead_org_id, decided.lead_org_id);
        assert_eq!((&told.reasons, &told.candidates), (&decided.reasons, &decided.candidates));
    }
    let hall = explained(&Persona::new(Role::ServiceWorker, d.street).org(d.office)).await;
    assert_eq!(hall.lead_org_id, d.office.to_string());
    assert!(hall.reasons.iter().any(|reason| reason.code == "first_receiver_leads"), "{:?}", hall.reasons);
    d.service.stop().await;
}
