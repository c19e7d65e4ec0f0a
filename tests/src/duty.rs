//! F8: a department's item is assessed and moves to a community's station with authority, funds, staff and training, or not at all;
//! what has come with it is told while it is in force.

use jianghan::scenario::{Played, Scenario};
use proto::case_routing::v1::{DutyArrivals, GetDutyArrivalsRequest, ListDutyArrivalsRequest};
use tonic::{Code, Status};

use crate::{Person, World};

/// Rolled back without its staff, and by its deadline; in force with all it needs, and the five arrive; ended, and what still arrives is sent back; admitted
/// for a time.
pub async fn moves_down(world: &World) {
    let played = world.performs(Scenario::Duty).await;
    world.settles().await;
    the_five_are_told(world, &played).await;
}

/// The admission is left in force: both sides and the district are told the same of it, nobody else anything. Of the transfers,
/// two rolled back and one ended, nothing is told any more.
async fn the_five_are_told(world: &World, played: &Played) {
    let of = |kind: &str| -> Vec<String> {
        played.shown.iter().filter(|shown| shown.kind == kind).map(|shown| shown.id.clone()).collect()
    };
    let (transfers, admitted) = (of("transfer"), of("arrivals"));
    assert_eq!((transfers.len(), admitted.len()), (3, 1), "{:#?}", played.shown);
    let admission = &admitted[0];
    let told = arrivals(&world.dispatcher(), admission).await.expect("the district sees it");
    assert!(told.admission && told.items.len() == 1, "{told:?}");
    for login in ["leader.housing", "leader.420103008", "committee.420103008001", "arbiter1", "finance1"] {
        let person = world.login(login);
        assert_eq!(arrivals(&person, admission).await.expect(login), told, "{login}");
        let listed = listed(&person).await;
        assert!(listed.contains(&told), "{login}");
        assert!(listed.iter().all(|one| !transfers.contains(&one.duty_id)), "{login}");
    }
    for transfer in &transfers {
        let over = arrivals(&world.dispatcher(), transfer).await.expect_err("it is over");
        assert_eq!(over.code(), Code::FailedPrecondition, "{over}");
    }
    let stranger = world.login("leader.420103005");
    assert_eq!(arrivals(&stranger, admission).await.expect_err("of another street").code(), Code::NotFound);
    assert!(!listed(&stranger).await.contains(&told));
}

async fn arrivals(person: &Person<'_>, duty_id: &str) -> Result<DutyArrivals, Status> {
    let request = person.asks(GetDutyArrivalsRequest { duty_id: duty_id.to_owned() }).await;
    let answer = person.world.patient.duties().get_duty_arrivals(request).await?;
    Ok(answer.into_inner().arrivals.expect("the arrivals"))
}

async fn listed(person: &Person<'_>) -> Vec<DutyArrivals> {
    let request = person.asks(ListDutyArrivalsRequest { page_size: 200, ..Default::default() }).await;
    let answer = person.world.patient.duties().list_duty_arrivals(request).await;
    answer.expect("a list").into_inner().arrivals
}
