//! The classifier in force: what it suggests, what the machine does by itself, and what is learnt from people who decide
//! otherwise.

use case_routing::App;
use chassis::{
    Service as _,
    auth::Role,
    config::ServiceConfig,
    proto::case_routing::v1::{
        self as pb, case_service_client::CaseServiceClient, suggest_items_request::About,
    },
    testing::Persona,
};
use classifier::{Model, Record};
use diesel_async::SimpleAsyncConnection as _;
use tonic::Code;

use crate::{
    model::{LAMP, NOISE, PLAIN, file, first, history},
    support::{District, ITEM},
};

#[tokio::test]
async fn only_the_redacted_text_is_looked_at_and_a_case_out_of_reach_is_none() {
    let d = District::start().await;
    // The model knows the digits of the number: looked at, they would speak.
    let number = Record { subject: "13812345678".into(), detail: String::new(), label: LAMP.into() };
    d.in_force(&file(&[history(LAMP, NOISE, ITEM), vec![number]].concat(), &[])).await;
    let words = async |text: &str| -> Vec<String> {
        d.suggest_text(text).await.suggestions.into_iter().flat_map(|one| one.words).collect()
    };
    let digits = |word: &String| word.contains(|c: char| c.is_ascii_digit());
    let spoke = words("138").await;
    assert!(spoke.iter().any(digits), "{spoke:?}");
    let spoke = words("13812345678 路灯不亮").await;
    assert!(!spoke.is_empty() && !spoke.iter().any(digits), "{spoke:?}");
    let nothing = d.suggest_text("13812345678").await;
    assert_eq!((nothing.state(), nothing.suggestions.len()), (pb::SuggestionState::NothingKnown, 0));
    let nothing = d.suggest_text("qwertz").await;
    assert_eq!((nothing.state(), nothing.suggestions.len()), (pb::SuggestionState::NothingKnown, 0));
    let case = d.accepted("门口路灯不亮，电话13812345678").await;
    assert_eq!(first(&d.suggest(About::CaseId(case.case_id.clone())).await.unwrap()), LAMP);
    let strange = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let request = pb::SuggestItemsRequest { about: Some(About::CaseId(case.case_id)) };
    assert_eq!(d.classify(&strange).suggest_items(request).await.unwrap_err().code(), Code::NotFound);
    let neither = pb::SuggestItemsRequest { about: None };
    assert_eq!(
        d.classify(&d.window()).suggest_items(neither).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    d.service.stop().await;
}

#[tokio::test]
async fn from_the_threshold_on_the_machine_triages_below_it_a_human() {
    let d = District::with("classify_threshold", 0.5).await.with_model().await;
    let resident = Persona::resident(d.district);
    d.service.drain_outbox().await;
    let case = d.registers(d.registration(&resident, "门口路灯不亮")).await;
    assert_eq!((case.state(), case.item_code.as_str()), (pb::CaseState::Triaged, LAMP));
    let triage = case.triage.clone().unwrap();
    assert_eq!((triage.decided_by.as_str(), triage.model_version), ("system", 1));
    assert!(triage.probability >= 0.5 && triage.suggested_item_codes[0] == LAMP);
    let told = d.service.drain_outbox().await;
    let triaged = told.iter().find(|event| event.is::<pb::CaseTriaged>()).unwrap();
    let triaged: pb::CaseTriaged = triaged.decode().unwrap();
    assert!(triaged.by_machine && triaged.suggested_item_code == LAMP && triaged.suggestion_permille >= 500);
    let steps = d.timeline(&case).await;
    let by_machine: Vec<_> =
        steps.iter().map(|step| (step.event.as_str(), step.actor_ref == "system")).collect();
    assert_eq!(by_machine, [("CaseRegistered", false), ("CaseAccepted", true), ("CaseTriaged", true)]);
    let reason = steps[2].reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), reason.arguments["model"].as_str()), ("triaged_by_machine", "1"));
    assert!(reason.text_zh.contains(LAMP) && reason.text_en.contains('%'));

    let answer = d.suggest_text("门口路灯不亮").await;
    assert!(answer.threshold == Some(0.5) && answer.threshold_met, "{answer:?}");

    // An emergency, no word known: a human.
    let unknown = d.registers(d.registration(&resident, "qwertz")).await;
    assert_eq!((unknown.state(), unknown.triage), (pb::CaseState::Registered, None));
    let urgent = pb::RegisterCaseRequest {
        urgency: pb::Urgency::Emergency.into(),
        ..d.registration(&resident, "门口路灯不亮")
    };
    assert_eq!(d.registers(urgent).await.state(), pb::CaseState::Registered);
    // What comes with an item is nobody's guess.
    let named =
        pb::RegisterCaseRequest { item_code: ITEM.into(), ..d.registration(&resident, "门口路灯不亮") };
    let named = d.registers(named).await;
    assert_eq!(
        (named.state(), named.item_code.as_str(), named.triage),
        (pb::CaseState::Registered, ITEM, None)
    );
    // A human corrects the machine before it is dispatched.
    let corrected = d.triages(&case, ITEM).await;
    assert_eq!((corrected.state(), corrected.item_code.as_str()), (pb::CaseState::Triaged, ITEM));
    assert_eq!(corrected.triage.unwrap().decided_by, "human");
    let reason = d.timeline(&case).await.last().and_then(|step| step.reason.clone()).unwrap();
    assert_eq!(reason.code, "suggestion_corrected");
    let accuracy = &d.accuracy().await[0];
    assert_eq!((accuracy.automatic, accuracy.automatic_corrected, accuracy.decided), (1, 1, 1));
    assert!(d.corrections().await[0].by_machine);
    d.service.stop().await;
}

#[tokio::test]
async fn below_the_threshold_a_human_triages_though_something_is_suggested() {
    let d = District::with("classify_threshold", 0.99).await;
    // Half of the district calls a lamp what the other half calls a stairway; of noise all say the same.
    d.in_force(&file(&[history(LAMP, NOISE, ITEM), history(ITEM, NOISE, LAMP)].concat(), &[])).await;
    let resident = Persona::resident(d.district);
    let unsure = d.registers(d.registration(&resident, "门口路灯不亮")).await;
    let answer = d.suggest(About::CaseId(unsure.case_id.clone())).await.unwrap();
    let probability = answer.suggestions[0].probability;
    assert!(answer.threshold == Some(0.99) && probability > 0.0 && probability < 0.99, "{answer:?}");
    assert!(!answer.threshold_met, "{answer:?}");
    assert_eq!((unsure.state(), unsure.triage), (pb::CaseState::Registered, None));
    let sure = d.registers(d.registration(&resident, "夜里噪音扰民")).await;
    assert_eq!((sure.state(), sure.item_code.as_str()), (pb::CaseState::Triaged, NOISE));
    d.service.stop().await;
}

#[tokio::test]
async fn without_the_setting_a_human_always_triages() {
    let d = District::start().await.with_model().await;
    let case = d.registers(d.registration(&Persona::resident(d.district), "门口路灯不亮")).await;
    assert_eq!((case.state(), case.triage), (pb::CaseState::Registered, None));
    let accepted = d.accepted("路灯不亮").await;
    let triaged = d.triages(&accepted, LAMP).await;
    assert_eq!(triaged.triage.unwrap().decided_by, "human");
    let accuracy = d.accuracy().await;
    assert_eq!((accuracy[0].decided, accuracy[0].first_right, accuracy[0].automatic), (1, 1, 0));
    assert_eq!((accuracy[0].accuracy, accuracy[0].automatic_corrected_share), (Some(1.0), None));
    assert!(accuracy[0].small_sample && d.corrections().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn with_a_threshold_that_is_none_the_service_does_not_start() {
    let d = District::start().await;
    let starts = async |threshold: f64| {
        let set = |config: &mut ServiceConfig| {
            let own = config.services.entry(App::NAME.to_owned()).or_default();
            own.insert("classify_threshold".to_owned(), threshold.into());
        };
        d.try_another(set).await
    };
    for threshold in [0.0, -0.5, 1.5, f64::NAN] {
        let refused = starts(threshold).await.unwrap_err();
        let told = format!("{refused:#}");
        assert!(told.contains("services.case-routing.classify_threshold: must be"), "{threshold}: {told}");
    }
    for threshold in [0.01, 1.0] {
        starts(threshold).await.unwrap().stop().await.unwrap();
    }
    d.service.stop().await;
}

#[tokio::test]
async fn what_people_decide_otherwise_is_kept_exported_and_learnt() {
    let d = District::start().await.with_model().await;
    // Flats in which somebody sings: noise to the model, a matter of the stairway to the people here.
    let texts = ["楼上唱歌噪音", "唱歌噪音夜里", "夜里唱歌噪音\n天天唱歌，电话13812345678", "唱歌噪音太大"];
    for text in texts {
        let case = d.accepted(text).await;
        assert_eq!(first(&d.suggest(About::CaseId(case.case_id.clone())).await.unwrap()), NOISE);
        d.triages(&case, ITEM).await;
    }
    let right = d.accepted("工地噪音").await;
    d.triages(&right, NOISE).await;
    // Taken back by the same people: no correction any more.
    let again = d.accepted("夜里装修噪音").await;
    d.triages(&again, ITEM).await;
    d.triages(&again, NOISE).await;

    let corrections = d.corrections().await;
    assert_eq!(corrections.len(), texts.len(), "{corrections:#?}");
    for correction in &corrections {
        assert_eq!(
            (correction.label.as_str(), correction.suggested_item_code.as_str(), correction.by_machine),
            (ITEM, NOISE, false)
        );
        assert!(!correction.subject.is_empty() && !correction.detail.contains("138"), "{correction:?}");
    }
    assert_eq!(corrections[2].subject, "夜里唱歌噪音");
    let accuracy = &d.accuracy().await[0];
    assert_eq!((accuracy.decided, accuracy.first_right), (6, 2));
    assert!(accuracy.in_first_three == 6 && accuracy.top_three_accuracy == Some(1.0));
    // What people wrote is not for whoever runs the machines.
    let request = pb::ListCorrectionsRequest::default();
    assert_eq!(d.operator().list_corrections(request).await.unwrap_err().code(), Code::PermissionDenied);

    // Training anew with them is right on them, and on what it knew before.
    let learnt: Vec<Record> = corrections
        .iter()
        .map(|one| Record {
            subject: one.subject.clone(),
            detail: one.detail.clone(),
            label: one.label.clone(),
        })
        .collect();
    let history = history(LAMP, NOISE, ITEM);
    let better = file(&history, &learnt);
    let right = |bytes: &[u8], records: &[Record]| {
        let model = Model::read(bytes).unwrap();
        let mut scratch = classifier::Scratch::default();
        let is_right = |record: &&Record| {
            model.guesses(&record.subject, &record.detail, 1, 0, &mut scratch)[0].label == record.label
        };
        records.iter().filter(is_right).count()
    };
    assert_eq!((right(&PLAIN, &learnt), right(&better, &learnt)), (0, learnt.len()));
    assert_eq!(right(&better, &history), history.len());
    d.bring(&better, 1 << 20).await;
    d.install(&better, &[]).await.unwrap();
    assert_eq!(first(&d.suggest_text("楼上又在唱歌，噪音").await), ITEM);
    let case = d.accepted("唱歌噪音不停").await;
    d.triages(&case, ITEM).await;
    let versions = d.accuracy().await;
    let by_version: Vec<_> =
        versions.iter().map(|one| (one.model_version, one.decided, one.first_right)).collect();
    assert_eq!(by_version, [(2, 1, 1), (1, 6, 2)]);
    d.service.stop().await;
}

#[tokio::test]
async fn corrections_with_long_texts_come_on_shorter_pages() {
    let d = District::start().await.with_model().await;
    for _ in 0..3 {
        let case = d.accepted("楼上唱歌噪音").await;
        d.triages(&case, ITEM).await;
    }
    // 1.4 million bytes each: two are more than a page takes, three more than a client.
    let longer = "UPDATE cases SET doc = replace(doc, '楼上唱歌噪音', repeat('楼上唱歌噪音', 80000))";
    d.service.db().conn().await.unwrap().batch_execute(longer).await.unwrap();
    let district = Persona::new(Role::DistrictDispatcher, d.district);
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCorrectionsRequest { page_size: 500, page_token, ..Default::default() };
        let page = d.classify(&district).list_corrections(request).await.unwrap().into_inner();
        pages.push(page.corrections.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [1, 1, 1]);
    d.service.stop().await;
}

#[tokio::test]
async fn an_anonymous_request_about_an_item_that_needs_a_requester_is_left_to_a_human() {
    let d = District::with("classify_threshold", 0.3).await.with_model().await;
    let resident = Persona::resident(d.district);
    let mut own = CaseServiceClient::new(d.service.call_as(&resident));
    let mut register = async |text: &str| {
        let request = pb::RegisterCaseRequest {
            anonymous: true,
            requester_id: String::new(),
            ..d.registration(&resident, text)
        };
        own.register_case(request).await.unwrap().into_inner().case.unwrap()
    };
    let lamp = register("门口路灯不亮").await;
    assert_eq!((lamp.state(), lamp.item_code.as_str()), (pb::CaseState::Triaged, LAMP));
    let actors: Vec<_> = d.timeline(&lamp).await.into_iter().map(|step| step.actor_ref).collect();
    assert_eq!(actors, ["anonymous", "system", "system"]);
    assert_eq!(register("夜里噪音扰民").await.state(), pb::CaseState::Registered);
    d.service.stop().await;
}
