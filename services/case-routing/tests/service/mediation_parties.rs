//! Who is a party of a mediation without having asked for it finds it in the list, and nobody else does.

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::RunQueryDsl;
use tonic::Code;
use uuid::Uuid;

use crate::mediation::Dispute;

async fn listed(m: &Dispute, by: &Persona, request: pb::ListMediationsRequest) -> Vec<pb::Mediation> {
    m.as_(by).list_mediations(request).await.unwrap().into_inner().mediations
}

#[derive(QueryableByName)]
struct Parties {
    #[diesel(sql_type = Text)]
    parties: String,
}

/// The persons that the list goes by.
async fn parties(m: &Dispute) -> String {
    let mut conn = m.d.service.db().conn().await.unwrap();
    let query = "SELECT array_to_string(party_ids, ' ') AS parties FROM mediations";
    let row: Parties = diesel::sql_query(query).get_result(&mut conn).await.unwrap();
    row.parties
}

#[tokio::test]
async fn a_party_who_did_not_ask_finds_the_mediation() {
    let m = Dispute::start().await;
    let case = m.in_progress().await;
    let taken = m.taken(&case).await;
    let all = pb::ListMediationsRequest::default;
    let [found] = &listed(&m, &m.other, all()).await[..] else { panic!("one is theirs") };
    assert_eq!((&found.mediation_id, &found.case_no), (&taken.mediation_id, &case.case_no));
    assert!(found.steps.is_empty(), "as in every list");
    assert!(parties(&m).await.contains(&m.other.person_id.to_string()));

    // As in every list, too: narrowed down, and page by page.
    let of = |case_id: &str| pb::ListMediationsRequest { case_id: case_id.into(), ..all() };
    assert_eq!(listed(&m, &m.other, of(&case.case_id)).await.len(), 1);
    assert!(listed(&m, &m.other, of(&Uuid::max().to_string())).await.is_empty());
    let ended = pb::ListMediationsRequest { states: vec![pb::MediationState::Performed.into()], ..all() };
    assert!(listed(&m, &m.other, ended).await.is_empty());

    // Whatever office they hold somewhere else.
    let mut elsewhere = Persona::new(Role::CommitteeMember, m.d.other_street).org(m.d.other_office);
    assert!(listed(&m, &elsewhere, all()).await.is_empty(), "no party, and not of the place");
    elsewhere.person_id = m.other.person_id;
    assert_eq!(listed(&m, &elsewhere, all()).await.len(), 1);
    assert!(listed(&m, &Persona::resident(m.d.district), all()).await.is_empty(), "a stranger");

    // The case is the other's request, and stays so.
    let get = pb::GetCaseRequest { case_id: case.case_id.clone() };
    assert_eq!(m.d.cases(&m.other).get_case(get).await.unwrap_err().code(), Code::NotFound);
    m.d.service.stop().await;
}
