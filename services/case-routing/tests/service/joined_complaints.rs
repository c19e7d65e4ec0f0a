//! What comes with a complaint that is merged goes with it: the words that were said of it, and whom it is about. Who was named by
//! mistake is taken back.

use chassis::{proto::case_routing::v1 as pb, testing::Persona};
use tonic::{Code, Status};

use crate::{
    recusal::{accepted, complaint, intake, looks, merge, refused, reveal, triage, unmerge},
    support::{District, ITEM, request_id},
};

const SAID: &str = "他们又来了，请联系13812345678";

async fn adds(d: &District, by: &Persona, case: &pb::Case) {
    let request = pb::AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: SAID.into(),
        ..Default::default()
    };
    d.cases(by).add_remark(request).await.unwrap();
}

async fn words(d: &District, by: &Persona, case: &pb::Case) -> Result<Vec<String>, Status> {
    let request = pb::RevealTextRequest { case_id: case.case_id.clone() };
    let remarks = d.cases(by).reveal_text(request).await?.into_inner().remarks;
    Ok(remarks.into_iter().map(|said| said.text).collect())
}

fn clearing(case: &pb::Case) -> pb::TriageCaseRequest {
    pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        clear_subject: true,
        ..Default::default()
    }
}

async fn clears(d: &District, by: &Persona, case: &pb::Case) -> Result<pb::Case, Status> {
    Ok(intake(d, by).triage_case(clearing(case)).await?.into_inner().case.unwrap())
}

#[tokio::test]
async fn the_words_of_a_complaint_leave_with_it_before_whom_it_is_about_may_read() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (target, case) = (accepted(&d, &one).await, complaint(&d, &other, d.office).await);
    merge(&d, &d.window(), &case, &target).await.unwrap();
    adds(&d, &other, &case).await;
    assert_eq!(words(&d, &d.window(), &target).await.unwrap(), [SAID]);
    assert_eq!(words(&d, &d.dispatcher(), &target).await.unwrap_err().code(), Code::PermissionDenied);

    unmerge(&d, &d.window(), &case).await.unwrap();
    assert!(words(&d, &d.dispatcher(), &target).await.unwrap().is_empty());
    let read = d.read(&target).await;
    assert_eq!((read.remarks.len(), read.remark_count, read.remarked_time), (0, 0, None));
    // With the complaint they stand as ever, and are not opened either.
    assert_eq!(words(&d, &d.window(), &case).await.unwrap(), [SAID]);
    assert_eq!(words(&d, &d.dispatcher(), &case).await.unwrap_err().code(), Code::PermissionDenied);
    d.service.stop().await;
}

#[tokio::test]
async fn what_a_merged_case_complains_of_is_not_overwritten_by_naming_another() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (target, case) = (accepted(&d, &one).await, complaint(&d, &other, d.office).await);
    merge(&d, &d.window(), &case, &target).await.unwrap();
    refused(triage(&d, &d.window(), &target, Some(d.other_office)).await, "another_subject");
    refused(clears(&d, &d.window(), &target).await, "others_complain");
    refused(triage(&d, &d.dispatcher(), &target, None).await, "recused");
    assert_eq!(reveal(&d, &d.dispatcher(), &target).await.unwrap_err().code(), Code::PermissionDenied);

    // Named here, too, it is this one's own word, whatever becomes of the other.
    triage(&d, &d.window(), &target, Some(d.office)).await.unwrap();
    unmerge(&d, &d.window(), &case).await.unwrap();
    refused(triage(&d, &d.dispatcher(), &target, None).await, "recused");
    triage(&d, &d.window(), &target, Some(d.other_office)).await.unwrap();
    triage(&d, &d.dispatcher(), &target, None).await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn who_was_named_by_mistake_is_taken_back_by_others_and_the_timeline_tells() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = complaint(&d, &resident, d.office).await;
    let both = pb::TriageCaseRequest { subject_org_id: d.other_office.to_string(), ..clearing(&case) };
    let status = intake(&d, &d.window()).triage_case(both).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().starts_with("clear_subject"), "{}", status.message());
    refused(clears(&d, &d.dispatcher(), &case).await, "recused");
    assert_eq!(looks(&d).await, 0);

    let window = d.window();
    clears(&d, &window, &case).await.unwrap();
    let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    let steps = d.cases(&window).get_timeline(request).await.unwrap().into_inner().entries;
    let cleared: Vec<_> = steps.iter().filter(|step| step.event == "SubjectCleared").collect();
    let [step] = &cleared[..] else { panic!("once: {steps:?}") };
    assert_eq!((&step.actor_ref, &step.org_id), (&window.actor_ref, &d.station.to_string()));
    assert_eq!(step.reason.as_ref().unwrap().code, "subject_cleared");
    // It is a case like any other from now on.
    triage(&d, &d.dispatcher(), &case, None).await.unwrap();
    assert!(reveal(&d, &d.dispatcher(), &case).await.is_ok());
    d.service.stop().await;
}
