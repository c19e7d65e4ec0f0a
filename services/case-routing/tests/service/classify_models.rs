//! The classifier's model: brought in parts, checked, put in force in every replica, and taken back.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{
        self as pb, classify_service_client::ClassifyServiceClient, suggest_items_request::About,
    },
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection as _;
use tonic::Code;

use crate::{
    model::{LAMP, NOISE, PLAIN, file, first, hex, history},
    support::{District, ITEM, request_id},
};

#[tokio::test]
async fn a_model_is_brought_in_parts_put_in_force_in_every_replica_and_taken_back() {
    let d = District::start().await;
    let other = d.another().await;
    let state = d.suggest_text("路灯不亮").await;
    assert_eq!((state.state(), state.model_version), (pb::SuggestionState::NoModel, 0), "said, not an error");

    d.bring(&PLAIN, 4_000).await;
    let one = d.install(&PLAIN, &[]).await.unwrap();
    assert_eq!((one.model_version, one.label_count, one.item_count, one.in_force), (1, 3, 3, true));
    assert_eq!(one.sha256, hex(&PLAIN));
    let answer = d.suggest_text("我家门口路灯不亮").await;
    assert_eq!(
        (answer.state(), first(&answer), answer.model_version),
        (pb::SuggestionState::Suggested, LAMP, 1)
    );
    assert!(answer.suggestions.len() == 3 && answer.threshold.is_none() && !answer.threshold_met);
    assert!(answer.suggestions.windows(2).all(|two| two[0].probability >= two[1].probability));
    assert!(answer.suggestions[0].words.iter().any(|word| word.contains("路灯")), "{answer:?}");
    assert!(!answer.suggestions[0].name_zh.is_empty() && !answer.suggestions[0].name_en.is_empty());
    let window = d.window();
    let mut there = ClassifyServiceClient::new(d.call_at(other.addr, &window));
    let follows = async || {
        let request = pb::SuggestItemsRequest { about: Some(About::Text("路灯不亮".into())) };
        there.suggest_items(request).await.unwrap().into_inner().model_version == 1
    };
    d.service.wait_for("the other replica follows", follows).await;

    // Labels of the district's own, mapped; one of them to nothing.
    let labelled = file(&history("照明", "噪声", "其他"), &[]);
    d.bring(&labelled, 1 << 20).await;
    let two = d.install(&labelled, &[("照明", LAMP), ("噪声", NOISE), ("其他", "")]).await.unwrap();
    assert_eq!((two.model_version, two.label_count, two.item_count), (2, 3, 2));
    let answer = d.suggest_text("楼道堆物").await;
    assert_eq!((answer.suggestions.len(), answer.model_version), (2, 2));
    assert!(answer.suggestions[0].probability < 0.5, "what is nobody's item is left to a human");

    let back = |version: i32| pb::RollBackModelRequest { model_version: version, request_id: request_id() };
    assert_eq!(d.operator().roll_back_model(back(1)).await.unwrap().into_inner().in_force_version, 1);
    assert_eq!(first(&d.suggest_text("楼道堆物").await), ITEM);
    for (version, code) in [(1, Code::FailedPrecondition), (9, Code::NotFound), (-1, Code::InvalidArgument)] {
        assert_eq!(d.operator().roll_back_model(back(version)).await.unwrap_err().code(), code);
    }
    let listed = d.operator().list_models(pb::ListModelsRequest::default()).await.unwrap().into_inner();
    let in_force: Vec<_> = listed.models.iter().map(|model| (model.model_version, model.in_force)).collect();
    assert_eq!((in_force, listed.in_force_version), (vec![(2, false), (1, true)], 1));
    d.operator().roll_back_model(back(0)).await.unwrap();
    assert_eq!(d.suggest_text("楼道堆物").await.state(), pb::SuggestionState::NoModel);
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_read_any_more_keeps_nobody_from_starting() {
    let d = District::start().await.with_model().await;
    let mut conn = d.service.db().conn().await.unwrap();
    conn.batch_execute("UPDATE model_parts SET data = 'of another time'").await.unwrap();
    drop(conn);
    let other = d.another().await;
    let window = d.window();
    let mut there = ClassifyServiceClient::new(d.call_at(other.addr, &window));
    let request = pb::SuggestItemsRequest { about: Some(About::Text("路灯不亮".into())) };
    let answer = there.suggest_items(request).await.unwrap().into_inner();
    assert_eq!(answer.state(), pb::SuggestionState::NoModel);
    other.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_no_model_of_this_catalogue_is_refused_and_the_label_named() {
    let d = District::start().await;
    let unknown = file(&history(LAMP, NOISE, "楼道"), &[]);
    assert_eq!(d.install(&unknown, &[]).await.unwrap_err().code(), Code::NotFound, "nothing was brought");
    d.bring(&unknown, 1 << 20).await;
    let refused = d.install(&unknown, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().starts_with("label_items") && refused.message().contains("`楼道`"),
        "{refused:?}"
    );
    for (labels, field) in [
        (vec![("楼道", "XX-1")], "label_items[0].item_code"),
        (vec![("楼道", ITEM), ("楼道", ITEM)], "label_items[1].label"),
        (vec![("", ITEM)], "label_items[0].label"),
    ] {
        let refused = d.install(&unknown, &labels).await.unwrap_err();
        assert!(
            refused.code() == Code::InvalidArgument && refused.message().starts_with(field),
            "{refused:?}"
        );
    }
    let mut damaged = PLAIN.clone();
    *damaged.last_mut().unwrap() ^= 1;
    d.bring(&damaged, 1 << 20).await;
    let refused = d.install(&damaged, &[]).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("damaged"), "{refused:?}");
    // A part is missing: the digest is another.
    let (whole, half) = (PLAIN.as_slice(), &PLAIN[..PLAIN.len() / 2]);
    let part = pb::PutModelPartRequest {
        sha256: hex(whole),
        request_id: request_id(),
        part: 0,
        data: half.to_vec(),
    };
    d.operator().put_model_part(part).await.unwrap();
    assert_eq!(d.install(whole, &[]).await.unwrap_err().code(), Code::NotFound);
    let listed = d.operator().list_models(pb::ListModelsRequest::default()).await.unwrap().into_inner();
    assert!(listed.models.is_empty(), "nothing half done");
    // Whoever operates a street only does not change the district's.
    let mut street = d.classify(&Persona::new(Role::ItOperator, d.street));
    let part =
        pb::PutModelPartRequest { sha256: hex(whole), request_id: request_id(), part: 0, data: vec![1] };
    assert_eq!(street.put_model_part(part).await.unwrap_err().code(), Code::PermissionDenied);
    d.service.stop().await;
}
