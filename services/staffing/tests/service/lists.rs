//! Lists over a long history, and lists that change while their pages are read.

use chassis::{
    auth::Role,
    testing::{Persona, rows_read},
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use proto::staffing::v1::ListWorkersRequest;
use staffing::{
    domain::AssignmentState,
    store::lists::{self, AssignmentFilter},
};
use uuid::Uuid;

use crate::world::{COMMUNITY, STATION, World};

const PERSON: Uuid = Uuid::from_u128(0xc1);

/// 5,000 assignments of one person at the station, in the order of their numbers: of the ten oldest some are offered, the others on
/// site; all that came later was confirmed.
const HISTORY: &str = "
    INSERT INTO assignments (assignment_id, task_id, case_id, org_id, unit_id, worker_id, person_id, worker_ref, item_code,
        weight, round, state, offered_at, offer_due_at, reasons, version)
    SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), gen_random_uuid(), lpad(to_hex(101), 32, '0')::uuid,
        lpad(to_hex(5), 32, '0')::uuid, lpad('d1', 32, '0')::uuid, lpad('c1', 32, '0')::uuid, 'w', 'CJ-0104', 30, 1,
        CASE WHEN n > 10 THEN 5 WHEN n % 2 = 0 THEN 1 ELSE 3 END, now(), now(), '{}', 1
    FROM generate_series(1, 5000) n;
    ANALYZE assignments;";

#[tokio::test]
async fn what_is_offered_or_in_hand_is_found_without_reading_all_that_ever_was() {
    use AssignmentState::{Accepted, Confirmed, Done, Offered, OnSite};
    let world = World::start().await;
    let mut conn = world.service.db().conn().await.unwrap();
    conn.batch_execute(HISTORY).await.unwrap();
    let of = |mine: bool, states: &[AssignmentState]| AssignmentFilter {
        orgs: if mine { Vec::new() } else { vec![STATION] },
        person: if mine { PERSON } else { Uuid::from_u128(0xff) },
        mine,
        states: states.to_vec(),
        limit: 51,
        ..AssignmentFilter::default()
    };
    let both = AssignmentFilter { person: PERSON, ..of(false, &[Offered, OnSite]) };
    for (filter, expected) in [
        (of(false, &[Offered]), vec![10_u128, 8, 6, 4, 2]),
        (of(true, &[Offered]), vec![10, 8, 6, 4, 2]),
        (of(false, &[Accepted, OnSite, Done]), vec![9, 7, 5, 3, 1]),
        (of(true, &[Accepted, OnSite, Done]), vec![9, 7, 5, 3, 1]),
        (both, (1..=10).rev().collect()),
        (of(false, &[Confirmed]), (4_950..=5_000).rev().collect()),
        (of(true, &[]), (4_950..=5_000).rev().collect()),
        (AssignmentFilter { before: Some(Uuid::from_u128(6)), ..of(false, &[Offered]) }, vec![4, 2]),
        (AssignmentFilter { before: Some(Uuid::from_u128(3)), ..of(false, &[Offered, Confirmed]) }, vec![2]),
    ] {
        let ask = async |conn: &mut AsyncPgConnection| lists::assignments(conn, &filter).await.unwrap();
        let (found, read) = rows_read(&mut conn, ask).await;
        let ids: Vec<u128> = found.iter().map(|assignment| assignment.id.0.as_u128()).collect();
        assert_eq!(ids, expected, "{filter:?}");
        let rows = read.get("assignments").copied().unwrap_or_default();
        assert!(rows <= 4 * 51, "{rows} assignments were read for {filter:?}");
    }
}

#[tokio::test]
async fn every_worker_is_on_one_page_whatever_their_loads_do_meanwhile() {
    let world = World::start().await;
    for _ in 0..4 {
        world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    }
    let load = async |text: &str| {
        let mut conn = world.service.db().conn().await.unwrap();
        conn.batch_execute(text).await.unwrap();
    };
    load("UPDATE workers SET open_count = 1, open_minutes = 30").await;
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListWorkersRequest { page_size: 2, page_token, ..Default::default() };
        let page = world.workforce(&head).list_workers(request).await.unwrap().into_inner();
        seen.extend(page.workers.into_iter().map(|worker| worker.worker_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Whoever is not listed yet has done all there was.
        load("UPDATE workers SET open_count = 0, open_minutes = 0").await;
    }
    let listed = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((listed, seen.len()), (4, 4));
}
