//! Two cases of one matter: joined, parted, and never into one that nobody handles.

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{District, request_id};

async fn registered(d: &District) -> pb::Case {
    said(d, &Persona::resident(d.district), "路灯不亮", d.community).await
}

pub async fn said(d: &District, resident: &Persona, text: &str, place: Uuid) -> pb::Case {
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: text.into(),
        place_unit_id: place.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    d.cases(resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

fn intake(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

pub async fn merge(d: &District, case: &pb::Case, into: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::MergeCaseRequest {
        case_id: case.case_id.clone(),
        into_case_id: into.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(d).merge_case(request).await.map(|answer| answer.into_inner().case.unwrap())
}

#[tokio::test]
async fn two_cases_are_not_merged_into_each_other_nor_into_one_that_is_over() {
    let d = District::start().await;
    let (first, second, gone) = (registered(&d).await, registered(&d).await, registered(&d).await);
    assert_eq!(merge(&d, &first, &second).await.unwrap().state(), pb::CaseState::Merged);
    let refused = merge(&d, &second, &first).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(&first.case_id), "{}", refused.message());
    let withdraw = pb::WithdrawCaseRequest {
        case_id: gone.case_id.clone(),
        request_id: request_id(),
        reason_code: "solved_itself".into(),
        statement_ref: "doc:statement".into(),
        ..Default::default()
    };
    d.cases(&d.window()).withdraw_case(withdraw).await.unwrap();
    assert_eq!(merge(&d, &second, &gone).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(d.read(&second).await.state(), pb::CaseState::Registered, "somebody handles it");
    d.service.stop().await;
}

#[tokio::test]
async fn a_repeated_unmerge_answers_the_same() {
    let d = District::start().await;
    let (first, second) = (registered(&d).await, registered(&d).await);
    merge(&d, &first, &second).await.unwrap();
    d.told().await;
    let request = pb::UnmergeCaseRequest {
        case_id: first.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut intake = intake(&d);
    let parted = intake.unmerge_case(request.clone()).await.unwrap().into_inner();
    assert_eq!(parted.case.as_ref().unwrap().state(), pb::CaseState::Accepted);
    assert_eq!(d.told().await, ["CaseUnmerged"]);
    assert_eq!(intake.unmerge_case(request.clone()).await.unwrap().into_inner(), parted);
    assert!(d.told().await.is_empty(), "nothing happened twice");
    let anew = pb::UnmergeCaseRequest { request_id: request_id(), ..request };
    assert_eq!(intake.unmerge_case(anew).await.unwrap_err().code(), Code::FailedPrecondition);
    d.service.stop().await;
}

async fn found(d: &District, by: &Persona, case: &pb::Case) -> Result<Vec<pb::DuplicateCandidate>, Status> {
    let request = pb::FindDuplicatesRequest { case_id: case.case_id.clone(), ..Default::default() };
    let mut intake = IntakeServiceClient::new(d.service.call_as(by));
    intake.find_duplicates(request).await.map(|answer| answer.into_inner().candidates)
}

#[tokio::test]
async fn duplicates_come_ranked_with_reasons_and_only_those_within_reach() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let case = said(&d, &one, "北门路灯不亮，晚上很黑", d.community).await;
    let same = said(&d, &one, "北门路灯不亮，晚上很黑！", d.community).await;
    let alike = said(&d, &other, "北门路灯坏了，晚上很黑", d.street).await;
    said(&d, &other, "广场舞噪音扰民", d.community).await;
    said(&d, &other, "北门路灯不亮，晚上很黑", d.other_street).await;
    let ids = |found: &[pb::DuplicateCandidate]| -> Vec<String> {
        found
            .iter()
            .filter_map(|candidate| candidate.case.as_ref())
            .map(|case| case.case_id.clone())
            .collect()
    };
    let by_street = found(&d, &d.dispatcher(), &case).await.unwrap();
    assert_eq!(ids(&by_street), [same.case_id.clone(), alike.case_id.clone()]);
    assert!(by_street[0].score > by_street[1].score && by_street[0].score <= 1.0);
    assert!(by_street.iter().all(|candidate| candidate.takes_others));
    let codes: Vec<&str> = by_street[0].reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["similar_text", "days_apart", "same_place", "same_requester"]);
    assert_eq!(by_street[0].reasons[0].text_zh, "内容相似 100%");
    assert_eq!(by_street[1].reasons[2].arguments["unit"], d.street.to_string());
    // The window of the community does not reach what lies elsewhere in the street.
    let by_window = found(&d, &d.window(), &case).await.unwrap();
    assert_eq!(ids(&by_window), std::slice::from_ref(&same.case_id));
    let far = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    assert_eq!(found(&d, &far, &case).await.unwrap_err().code(), Code::NotFound);
    // What is merged already is no candidate.
    merge(&d, &same, &case).await.unwrap();
    assert_eq!(ids(&found(&d, &d.dispatcher(), &case).await.unwrap()), [alike.case_id]);
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_is_to_verify_two_cases_finds_one_by_the_other_wherever_their_grants_are() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let (case, like) = (d.taken_in(&one).await, d.taken_in(&other).await);
    let centre = Persona::new(Role::StreetDispatcher, d.other_street).org(d.centre);
    d.do_at_street(&case).await;
    assert!(found(&d, &centre, &case).await.unwrap().is_empty(), "the street has the other one still");
    d.do_at_street(&like).await;
    let candidates = found(&d, &centre, &case).await.unwrap();
    let ids: Vec<_> = candidates.into_iter().map(|found| found.case.unwrap().case_id).collect();
    assert_eq!(ids, [like.case_id]);
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_of_no_street_is_compared_with_those_of_its_district() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = said(&d, &resident, "北门路灯不亮，晚上很黑", d.district).await;
    let here = said(&d, &resident, "北门路灯不亮，晚上很黑！", d.community).await;
    let there = said(&d, &resident, "北门路灯坏了，晚上很黑", d.other_street).await;
    said(&d, &resident, "广场舞噪音扰民", d.community).await;
    let by = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let candidates = found(&d, &by, &case).await.unwrap();
    let mut ids: Vec<_> = candidates.into_iter().map(|found| found.case.unwrap().case_id).collect();
    ids.sort_unstable();
    let mut expected = [here.case_id.clone(), there.case_id];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    // Nor does one that lies in a street miss it: the other way round it is merged into the one that came first.
    let candidates = found(&d, &by, &here).await.unwrap();
    let ids: Vec<_> = candidates.into_iter().map(|found| found.case.unwrap().case_id).collect();
    assert_eq!(ids, [case.case_id]);
    d.service.stop().await;
}

#[tokio::test]
async fn the_same_matter_in_other_words_is_a_candidate_and_another_matter_at_the_place_is_not() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let of_item = async |item: &str, text: &str, place: Uuid| {
        let request = pb::RegisterCaseRequest {
            request_id: request_id(),
            text: text.into(),
            place_unit_id: place.to_string(),
            item_code: item.into(),
            notice_version: "1".into(),
            ..Default::default()
        };
        d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
    };
    let case = of_item("CJ-0103", "路灯坏了", d.community).await;
    // Other words for the same, with the item and without; and words that nothing is known of, with the item.
    let synonyms = of_item("CJ-0103", "楼下照明不亮", d.community).await;
    let untriaged = said(&d, &resident, "到处漆黑一片", d.community).await;
    let by_item = of_item("CJ-0103", "夜里回家怕摔", d.street).await;
    of_item("CJ-0103", "夜里回家怕摔", d.other_street).await;
    of_item("CJ-0112", "垃圾成堆", d.community).await;
    let candidates = found(&d, &d.dispatcher(), &case).await.unwrap();
    let told: Vec<(&str, Vec<&str>)> = candidates
        .iter()
        .map(|candidate| {
            let codes = candidate.reasons.iter().map(|reason| reason.code.as_str()).collect();
            (candidate.case.as_ref().unwrap().case_id.as_str(), codes)
        })
        .collect();
    let requester = "same_requester";
    let expected = [
        (&synonyms, vec!["same_subject", "days_apart", "same_place", requester, "same_item"]),
        (&untriaged, vec!["same_subject", "days_apart", "same_place", requester]),
        (&by_item, vec!["days_apart", "near_place", requester, "same_item"]),
    ];
    let expected: Vec<(&str, Vec<&str>)> =
        expected.into_iter().map(|(case, codes)| (case.case_id.as_str(), codes)).collect();
    assert_eq!(told, expected);
    let subject = &candidates[0].reasons[0];
    assert!(subject.text_zh.contains("100%") && subject.text_en.contains("100 %"), "{subject:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn the_requester_of_a_merged_case_keeps_receipt_news_and_a_rating_of_their_own() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let repeat = said(&d, &other, "楼道堆物", d.community).await;
    let case = d.taken_in(&one).await;
    merge(&d, &repeat, &case).await.unwrap();
    let read = async |by: &Persona| {
        let request = pb::GetCaseRequest { case_id: repeat.case_id.clone() };
        d.cases(by).get_case(request).await.unwrap().into_inner().case.unwrap()
    };
    // Their own number, words and place in their list; how the other case stands, and no word of its requester.
    let own = read(&other).await;
    assert_eq!((own.case_no.as_str(), own.text_redacted.as_str()), (repeat.case_no.as_str(), "楼道堆物"));
    let news = own.original.unwrap();
    assert_eq!(
        (news.state(), news.lead_org_id.as_str()),
        (pb::CaseState::Dispatched, case.lead_org_id.as_str())
    );
    let hidden = pb::GetCaseRequest { case_id: case.case_id.clone() };
    assert_eq!(d.cases(&other).get_case(hidden).await.unwrap_err().code(), Code::NotFound);
    let mine = d.cases(&other).list_cases(pb::ListCasesRequest { mine: true, ..Default::default() }).await;
    assert_eq!(mine.unwrap().into_inner().cases.len(), 1);

    let rate = async |by: &Persona, case: &pb::Case, grade| {
        let request = pb::RateCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            grade,
            ..Default::default()
        };
        d.cases(by).rate_case(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    let early = rate(&other, &repeat, 5).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    d.resolve(&case).await;
    assert_eq!(read(&other).await.original.unwrap().state(), pb::CaseState::Resolved);
    // Each rates their own: the bad word of the one does not touch the good one of the other.
    d.told().await;
    assert_eq!(rate(&one, &case, 5).await.unwrap().state(), pb::CaseState::Closed);
    let rated = rate(&other, &repeat, 1).await.unwrap();
    assert_eq!((rated.state(), rated.rating.unwrap().grade), (pb::CaseState::Merged, 1));
    assert_eq!(d.told().await, ["RatingReceived", "CaseClosed", "RatingReceived"]);
    assert_eq!(rate(&other, &repeat, 2).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(rate(&one, &repeat, 5).await.unwrap_err().code(), Code::NotFound);
    // A third organisation judges it; if it is valid, the work is done again, as for a word of the other's own.
    let judge = async |by: &Persona| {
        let request = pb::JudgeRatingRequest {
            case_id: repeat.case_id.clone(),
            request_id: request_id(),
            valid: true,
            ..Default::default()
        };
        VerificationServiceClient::new(d.service.call_as(by)).judge_rating(request).await
    };
    let handler = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    assert_eq!(judge(&handler).await.unwrap_err().code(), Code::PermissionDenied);
    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    let judged = judge(&agent).await.unwrap().into_inner().case.unwrap();
    assert_eq!((judged.case_id.as_str(), judged.state()), (repeat.case_id.as_str(), pb::CaseState::Merged));
    let told = d.told().await;
    for name in ["RatingJudged", "CaseReopened", "CaseDispatched", "SupervisionIssued"] {
        assert!(told.contains(&name.to_owned()), "{name}: {told:?}");
    }
    let opened = d.read(&case).await;
    assert_eq!((opened.state(), opened.reopen_count), (pb::CaseState::Dispatched, 1));
    assert_eq!(read(&other).await.original.unwrap().state(), pb::CaseState::Dispatched);
    assert_eq!(judge(&agent).await.unwrap_err().code(), Code::FailedPrecondition, "it was judged");
    // Taken out again it goes its own way.
    let request = pb::UnmergeCaseRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let parted = intake(&d).unmerge_case(request).await.unwrap().into_inner().case.unwrap();
    assert_eq!((parted.state(), parted.rating), (pb::CaseState::Accepted, None));
    assert!(read(&other).await.original.is_none());
    d.service.stop().await;
}

#[tokio::test]
async fn who_was_merged_goes_along_with_the_original_and_comes_back_with_it() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let first = said(&d, &one, "楼道堆物", d.community).await;
    let middle = said(&d, &other, "楼道堆放杂物", d.community).await;
    let last = d.taken_in(&Persona::resident(d.district)).await;
    merge(&d, &first, &middle).await.unwrap();
    d.told().await;
    merge(&d, &middle, &last).await.unwrap();
    assert_eq!(d.told().await, ["CaseMerged"], "the first was merged before");
    let read = async |by: &Persona, case: &pb::Case| {
        let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
        d.cases(by).get_case(request).await.unwrap().into_inner().case.unwrap()
    };
    for (by, case) in [(&one, &first), (&other, &middle)] {
        let own = read(by, case).await;
        assert_eq!((own.state(), own.merged_into_case_id), (pb::CaseState::Merged, last.case_id.clone()));
        assert_eq!(own.original.unwrap().state(), pb::CaseState::Dispatched);
    }
    d.resolve(&last).await;
    let told = d.service.drain_outbox().await;
    let signed = told.iter().find(|event| event.is::<pb::TaskSigned>()).unwrap();
    let signed: pb::TaskSigned = signed.decode().unwrap();
    assert_eq!(signed.facts.unwrap().merged_count, 2, "each is counted where the work is done");
    let rate = pb::RateCaseRequest {
        case_id: first.case_id.clone(),
        request_id: request_id(),
        grade: 4,
        ..Default::default()
    };
    d.cases(&one).rate_case(rate).await.unwrap();
    // It was another matter: whoever came with it goes with it.
    let part = |case: &pb::Case| pb::UnmergeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let parted = intake(&d).unmerge_case(part(&middle)).await.unwrap().into_inner().case.unwrap();
    assert_eq!((parted.case_id.as_str(), parted.state()), (middle.case_id.as_str(), pb::CaseState::Accepted));
    let back = read(&one, &first).await;
    assert_eq!((back.state(), back.merged_into_case_id), (pb::CaseState::Merged, middle.case_id.clone()));
    assert_eq!((back.original.unwrap().state(), back.rating), (pb::CaseState::Accepted, None));
    let own = intake(&d).unmerge_case(part(&first)).await.unwrap().into_inner().case.unwrap();
    assert_eq!((own.state(), own.merged_into_case_id.as_str()), (pb::CaseState::Accepted, ""));
    d.service.stop().await;
}
