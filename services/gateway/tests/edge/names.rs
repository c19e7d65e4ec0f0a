//! Names of places whose units are no longer in force.

use prost::Message as _;
use proto::{
    case_routing::v1::{Case, ListCasesResponse},
    identity::v1::{ListUnitsRequest, ListUnitsResponse, Unit, UnitState},
};

use crate::{
    canned::{self, STREET, district},
    visitor::{page, sign_in},
};

#[tokio::test]
async fn a_place_that_was_merged_keeps_its_name_and_says_so() {
    let edge = district(None).await;
    edge.services.answer_by("ListUnits", |call| {
        let asked: ListUnitsRequest = call.decode();
        let merged = Unit {
            unit_id: STREET.into(),
            name_zh: "满春街道".into(),
            name_en: "Manchun Street".into(),
            state: UnitState::Merged.into(),
            ..Default::default()
        };
        let units = if asked.include_ended { vec![merged] } else { Vec::new() };
        Ok(ListUnitsResponse { units, ..Default::default() }.encode_to_vec())
    });
    let session = sign_in(&edge).await;
    let list = format!("/cases?unit={STREET}");
    let (_, html) = page(&edge, &list, &session).await;
    assert!(html.contains("满春街道（已撤并）"), "{html}");
    let (_, html) = page(&edge, &list, &format!("{session}; jh_lang=en")).await;
    assert!(html.contains("Manchun Street (ended)"), "{html}");
    edge.services.answer_by("ListCases", |_| {
        let cases = vec![Case { place_unit_id: STREET.into(), ..canned::case() }];
        Ok(ListCasesResponse { cases, ..Default::default() }.encode_to_vec())
    });
    let request = edge.post("/cases.csv").header("origin", &edge.url).header("cookie", &session);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body("query=");
    let csv = request.send().await.expect("an answer").text().await.expect("text");
    assert!(csv.contains("满春街道（已撤并）") && !csv.contains(STREET), "{csv}");
}
