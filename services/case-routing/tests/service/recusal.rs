//! 回避: whoever belongs to the organisation complained of neither takes the complaint away, nor checks what came of it, nor reads
//! who complained.

use chassis::{
    auth::{Role, Scope},
    clock::new_id,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    exchange::World,
    support::{District, ITEM, request_id},
};

pub fn intake(d: &District, by: &Persona) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(by))
}

fn verification(d: &District, by: &Persona) -> VerificationServiceClient<PeerChannel> {
    VerificationServiceClient::new(d.service.call_as(by))
}

/// With a grant for another organisation besides.
pub fn also_of(mut persona: Persona, role: Role, unit_id: Uuid, org: Uuid) -> Persona {
    persona.scopes.push(Scope { role, unit_id, line: None, org_id: Some(org) });
    persona
}

/// Registered by a resident, taken in at the window.
pub async fn accepted(d: &District, resident: &Persona) -> pb::Case {
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: d.intake_request(resident).text,
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(d, &d.window()).accept_case(accept).await.unwrap().into_inner().case.unwrap()
}

pub async fn triage(
    d: &District,
    by: &Persona,
    case: &pb::Case,
    of: Option<Uuid>,
) -> Result<pb::Case, Status> {
    let request = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        subject_org_id: of.map(|org| org.to_string()).unwrap_or_default(),
        ..Default::default()
    };
    Ok(intake(d, by).triage_case(request).await?.into_inner().case.unwrap())
}

pub async fn complaint(d: &District, resident: &Persona, of: Uuid) -> pb::Case {
    let case = accepted(d, resident).await;
    triage(d, &d.window(), &case, Some(of)).await.unwrap()
}

pub async fn merge(d: &District, by: &Persona, case: &pb::Case, into: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::MergeCaseRequest {
        case_id: case.case_id.clone(),
        into_case_id: into.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    Ok(intake(d, by).merge_case(request).await?.into_inner().case.unwrap())
}

pub async fn unmerge(d: &District, by: &Persona, case: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::UnmergeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    Ok(intake(d, by).unmerge_case(request).await?.into_inner().case.unwrap())
}

pub async fn reveal(d: &District, by: &Persona, case: &pb::Case) -> Result<String, Status> {
    let request = pb::RevealTextRequest { case_id: case.case_id.clone() };
    Ok(d.cases(by).reveal_text(request).await?.into_inner().text)
}

pub fn refused(result: Result<pb::Case, Status>, code: &str) {
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains(code), "{}", status.message());
}

/// Under which names whoever asked acted and said something, as somebody reads the case; and the whole of what they read.
async fn read_of_who_asked(d: &District, by: &Persona, case: &pb::Case) -> (Vec<String>, String) {
    let case_id = || case.case_id.clone();
    let mut cases = d.cases(by);
    let timeline = pb::GetTimelineRequest { case_id: case_id(), page_size: 200, ..Default::default() };
    let steps = cases.get_timeline(timeline).await.unwrap().into_inner().entries;
    let get = pb::GetCaseRequest { case_id: case_id() };
    let shown = cases.get_case(get).await.unwrap().into_inner().case.unwrap();
    let wait = pb::WaitCaseRequest { case_id: case_id(), ..Default::default() };
    let waited = cases.wait_case(wait).await.unwrap().into_inner().case.unwrap();
    let whole = format!("{steps:?} {shown:?} {waited:?}");
    let acted = steps.into_iter().map(|step| (step.actor_ref, step.org_id));
    let said = shown.remarks.into_iter().chain(waited.remarks).map(|said| (said.actor_ref, said.org_id));
    let for_nobody = acted.chain(said).filter(|(actor, org)| org.is_empty() && actor != "system");
    (for_nobody.map(|(actor, _)| actor).collect(), whole)
}

/// What is alike of two cases, as somebody finds the other one by the first.
async fn alike(d: &District, by: &Persona, case: &pb::Case, other: &pb::Case) -> pb::DuplicateCandidate {
    let request = pb::FindDuplicatesRequest { case_id: case.case_id.clone(), ..Default::default() };
    let found = intake(d, by).find_duplicates(request).await.unwrap().into_inner().candidates;
    let is = |known: &pb::DuplicateCandidate| known.case.as_ref().unwrap().case_id == other.case_id;
    found.into_iter().find(is).unwrap()
}

/// How often somebody read who asked, and in what words.
pub async fn looks(d: &District) -> i64 {
    recorded(d, "allow").await
}

/// How often somebody who reaches the case was refused that.
pub async fn refused_looks(d: &District) -> i64 {
    recorded(d, "deny").await
}

async fn recorded(d: &District, decision: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Looks {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let mut conn = d.service.db().conn().await.unwrap();
    let query = diesel::sql_query("SELECT count(*) AS n FROM access_log WHERE decision = $1")
        .bind::<diesel::sql_types::Text, _>(decision);
    let looks: Looks = diesel_async::RunQueryDsl::get_result(query, &mut conn).await.unwrap();
    looks.n
}

#[tokio::test]
async fn whom_a_case_complains_of_is_an_organisation_and_changed_by_others_only() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = complaint(&d, &resident, d.office).await;
    let unknown = triage(&d, &d.window(), &case, Some(new_id())).await.unwrap_err();
    let request = pb::IntakeCaseRequest { subject_org_id: request_id(), ..d.intake_request(&resident) };
    let taken_in = d.cases(&d.window()).intake_case(request).await.unwrap_err();
    let request = pb::ExplainRouteRequest {
        item_code: ITEM.into(),
        unit_id: d.community.to_string(),
        subject_org_id: request_id(),
        ..Default::default()
    };
    let explained = intake(&d, &d.dispatcher()).explain_route(request).await.unwrap_err();
    for status in [unknown, taken_in, explained] {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().starts_with("subject_org_id"), "{}", status.message());
    }
    refused(triage(&d, &d.dispatcher(), &case, Some(d.other_office)).await, "recused");
    triage(&d, &d.window(), &case, Some(d.other_office)).await.unwrap();
    triage(&d, &d.dispatcher(), &case, None).await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn the_call_back_centre_does_not_check_what_came_of_a_complaint_about_itself() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let subject_org_id = d.centre.to_string();
    let request = pb::IntakeCaseRequest { subject_org_id, ..d.intake_request(&resident) };
    let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    d.do_at_street(&case).await;
    let done = d.read(&case).await;
    assert_eq!((done.state(), done.verification), (pb::CaseState::Completed, None), "nobody else verifies");

    let verify = || pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        ..Default::default()
    };
    let call = || pb::RecordCallbackRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        outcome: pb::CallbackOutcome::Unreached.into(),
        ..Default::default()
    };
    let rate = |grade| pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade,
        ..Default::default()
    };
    let judge = || pb::JudgeRatingRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    let third = Persona::new(Role::Verifier, d.district).org(d.gov).also(Role::CallbackAgent, d.district);
    let both = also_of(third.clone(), Role::ServiceWorker, d.district, d.centre);
    let own = d.verifier().also(Role::CallbackAgent, d.district);
    for persona in [&own, &both] {
        let verified = verification(&d, persona).verify_case(verify()).await.unwrap_err();
        let called = verification(&d, persona).record_callback(call()).await.unwrap_err();
        assert_eq!((verified.code(), called.code()), (Code::PermissionDenied, Code::PermissionDenied));
    }
    let verified = verification(&d, &third).verify_case(verify()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(verified.verification.as_ref().unwrap().verifier_org_id, d.gov.to_string());
    assert_eq!(d.cases(&own).rate_case(rate(5)).await.unwrap_err().code(), Code::PermissionDenied);
    d.cases(&resident).rate_case(rate(1)).await.unwrap();
    for persona in [&own, &both] {
        let judged = verification(&d, persona).judge_rating(judge()).await.unwrap_err();
        assert_eq!(judged.code(), Code::PermissionDenied);
    }
    let judged = verification(&d, &third).judge_rating(judge()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(judged.state(), pb::CaseState::InProgress);
    d.service.stop().await;
}

#[tokio::test]
async fn who_complained_is_not_opened_to_whom_it_is_about() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = complaint(&d, &resident, d.office).await;
    let remark = pb::AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: "没有人来".into(),
        ..Default::default()
    };
    d.cases(&resident).add_remark(remark).await.unwrap();
    let torn = also_of(d.window(), Role::StreetLeader, d.street, d.office);
    for persona in [d.dispatcher(), d.leader(), torn] {
        assert_eq!(reveal(&d, &persona, &case).await.unwrap_err().code(), Code::PermissionDenied);
        // Nor by the name under which they stand in other cases.
        let (who, whole) = read_of_who_asked(&d, &persona, &case).await;
        assert!(who.len() >= 3 && who.iter().all(|name| name == "requester"), "{who:?}");
        for trace in [resident.actor_ref.clone(), resident.person_id.to_string()] {
            assert!(!whole.contains(&trace), "{whole}");
        }
    }
    assert_eq!((looks(&d).await, refused_looks(&d).await), (0, 3), "nobody saw it, who tried is known");
    let elsewhere = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    assert_eq!(reveal(&d, &elsewhere, &case).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(refused_looks(&d).await, 3, "to whom there is no case, none is refused");
    let said = d.intake_request(&resident).text;
    assert_eq!(reveal(&d, &d.window(), &case).await.unwrap(), said);
    // Whoever asked reads their own words, wherever they work.
    let colleague = also_of(resident.clone(), Role::StreetDispatcher, d.street, d.office);
    assert_eq!(reveal(&d, &colleague, &case).await.unwrap(), said);
    for persona in [d.window(), colleague] {
        let (who, _) = read_of_who_asked(&d, &persona, &case).await;
        assert!(who.len() >= 3 && who.iter().all(|name| *name == resident.actor_ref), "{who:?}");
    }
    assert_eq!(looks(&d).await, 2);
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_recorded_of_looks_is_added_to_and_never_changed() {
    let d = District::start().await;
    let case = accepted(&d, &Persona::resident(d.district)).await;
    reveal(&d, &d.window(), &case).await.unwrap();
    let mut conn = d.service.db().conn().await.unwrap();
    let changes = ["UPDATE access_log SET actor_ref = ''", "DELETE FROM access_log", "TRUNCATE access_log"];
    for change in changes {
        let error = conn.batch_execute(change).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{change}: {error}");
    }
    // As a replica of the release before writes it.
    let earlier = "INSERT INTO access_log (access_id, case_id, person_id, actor_ref, org_id, purpose, at) \
        SELECT gen_random_uuid(), case_id, person_id, actor_ref, org_id, purpose, at FROM access_log";
    conn.batch_execute(earlier).await.unwrap();
    drop(conn);
    assert_eq!((looks(&d).await, refused_looks(&d).await), (2, 0));
    d.service.stop().await;
}

#[tokio::test]
async fn whom_a_case_complains_of_is_not_told_what_else_the_same_person_asked_for() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let ordinary = accepted(&d, &resident).await;
    let case = complaint(&d, &resident, d.office).await;
    for (one, other) in [(&case, &ordinary), (&ordinary, &case)] {
        let told = alike(&d, &d.dispatcher(), one, other).await;
        assert!(told.reasons.iter().all(|reason| reason.code != "same_requester"), "{told:?}");
        let known = alike(&d, &d.window(), one, other).await;
        assert!(known.reasons.iter().any(|reason| reason.code == "same_requester"), "{known:?}");
        assert!(told.score < known.score - 0.04, "nor by the score: {} and {}", told.score, known.score);
    }
    d.service.stop().await;
}

#[tokio::test]
async fn who_sends_what_is_missing_in_their_own_case_does_so_for_no_organisation() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let colleague = also_of(resident.clone(), Role::StreetDispatcher, d.street, d.office);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: d.intake_request(&resident).text,
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    let ask = pb::RequestSupplementRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        material_codes: vec!["id_card".into()],
        ..Default::default()
    };
    intake(&d, &d.window()).request_supplement(ask).await.unwrap();
    let supplement = pb::SupplementCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        material_codes: vec!["id_card".into()],
        ..Default::default()
    };
    d.cases(&colleague).supplement_case(supplement).await.unwrap();
    triage(&d, &d.window(), &case, Some(d.office)).await.unwrap();
    let (who, whole) = read_of_who_asked(&d, &d.dispatcher(), &case).await;
    assert!(who.len() >= 2 && who.iter().all(|name| name == "requester"), "{who:?}");
    assert!(!whole.contains(&resident.actor_ref), "{whole}");
    d.service.stop().await;
}

#[tokio::test]
async fn who_pushed_a_complaint_is_not_opened_to_whom_it_is_about() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let unknown = pb::PushTicketRequest { class_code: "9999".into(), ..world.ticket("WH-1") };
    let ticket = world.pushes(unknown).await.unwrap().ticket_id;
    let pushed = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    let d = &world.d;
    let accept = pb::AcceptCaseRequest {
        case_id: pushed.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(d, &world.drafter()).accept_case(accept).await.unwrap();
    let case = world.case(&pushed.case_id).await;
    triage(d, &world.drafter(), &case, Some(d.office)).await.unwrap();
    let torn = also_of(d.window(), Role::StreetLeader, d.street, d.office);
    for persona in [d.dispatcher(), torn] {
        let refused = world.reveals(&ticket, &persona).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    assert_eq!((looks(d).await, refused_looks(d).await), (0, 2), "nobody saw it, who tried is known");
    let known = world.reveals(&ticket, &d.window()).await.unwrap();
    assert_eq!(known.contact, world.ticket("").contact);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_complaint_is_merged_neither_into_what_the_one_complained_of_leads_nor_into_another_complaint() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let led = d.taken_in(&one).await;
    assert_eq!(led.lead_org_id, d.office.to_string());
    let of_another = complaint(&d, &one, d.centre).await;
    let case = complaint(&d, &other, d.office).await;
    for (into, code) in [(&led, "recused"), (&of_another, "another_subject")] {
        let candidate = alike(&d, &d.window(), &case, into).await;
        assert!(!candidate.takes_others, "{code}");
        assert_eq!(candidate.reasons.last().unwrap().code, code);
        refused(merge(&d, &d.window(), &case, into).await, code);
    }
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Triaged, "it goes its own way");
    d.service.stop().await;
}

#[tokio::test]
async fn whom_a_merged_case_complains_of_steps_aside_in_the_other_until_it_is_taken_out() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (target, case) = (accepted(&d, &one).await, complaint(&d, &other, d.office).await);
    merge(&d, &d.window(), &case, &target).await.unwrap();
    refused(triage(&d, &d.dispatcher(), &target, None).await, "recused");
    assert_eq!(reveal(&d, &d.dispatcher(), &target).await.unwrap_err().code(), Code::PermissionDenied);
    refused(unmerge(&d, &d.dispatcher(), &case).await, "recused");

    // Along with what it was merged into it goes on to where the work is done.
    let last = accepted(&d, &one).await;
    merge(&d, &d.window(), &target, &last).await.unwrap();
    refused(triage(&d, &d.dispatcher(), &last, None).await, "recused");
    unmerge(&d, &d.window(), &case).await.unwrap();
    triage(&d, &d.dispatcher(), &last, None).await.unwrap();
    assert!(reveal(&d, &d.dispatcher(), &target).await.is_ok());
    assert_eq!(reveal(&d, &d.dispatcher(), &case).await.unwrap_err().code(), Code::PermissionDenied);
    d.service.stop().await;
}
