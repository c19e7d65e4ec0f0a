//! The receipt of a push says how the matter stands: of a merged ticket, how the case stands that it was merged into.

use chassis::proto::case_routing::v1 as pb;

use crate::{
    exchange::World,
    exchange_joined::{joined, parts, ticket},
};

#[tokio::test]
async fn the_receipt_of_a_merged_ticket_tells_how_the_original_stands() {
    use pb::{CaseState as S, PushOutcome as O};
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let original = world.case(&ticket(&world, "WH-1").await.case_id).await;
    let merged = joined(&world, "WH-2", &original.case_id).await;
    let again = async |text: &str| {
        let request =
            pb::PushTicketRequest { class_code: "9999".into(), text: text.into(), ..world.ticket("WH-2") };
        world.pushes(request).await.unwrap()
    };
    // In the words that the ticket was taken with, under its own number.
    let known = again("").await;
    assert_eq!((known.state(), known.external_status.as_str()), (S::Dispatched, "已派单"));
    assert_eq!((known.outcome(), &known.case_no), (O::Unchanged, &merged.case_no));
    assert!(!known.awaits_triage, "somebody leads it");
    let added = again("又漏了").await;
    assert_eq!((added.outcome(), added.state()), (O::Added, S::Dispatched));
    world.d.resolve(&original).await;
    assert_eq!(again("").await.state(), S::Resolved);
    // Taken out again it stands for itself.
    parts(&world, &merged).await;
    let own = again("").await;
    assert_eq!((own.state(), own.awaits_triage), (S::Accepted, true));
    world.d.service.stop().await;
}
