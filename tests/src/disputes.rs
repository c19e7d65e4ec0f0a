//! F3 and F4 across services: whose duty it is, and who comes when a street calls.

use jianghan::scenario::{BENCH, Scenario};
use proto::{analytics::v1::QueryIndicatorsRequest, case_routing::v1::ClockKind};

use crate::{World, journeys::COMMUNITY};

/// What of the figures F3 is about: how often a task is objected to, how often rightly, and how often a case changes its lead.
const FIGURES: [&str; 3] = ["I-14", "I-14-upheld", "I-14-moves"];

/// F3: objected to, decided by the dispatcher; arbitrated between the parties, ruled on by their superior, reviewed by the one above;
/// a precedent decides the next case. What became of the item that was ruled on is in its figures, and nothing else is. The day
/// of the precedent has to come, so that the world is taken alone.
pub async fn turf_dispute(world: &World) {
    world.settles().await;
    let since = calendar::local_day(world.now().await.expect("domain time")).to_string();
    let before = figures(world, &since).await;
    world.performs(Scenario::Arbitration).await;
    world.settles().await;
    let after = figures(world, &since).await;
    let came = |n: usize| (after[n].0 - before[n].0, after[n].1 - before[n].1);
    // Three tasks: of the one that objected, of the one that was ruled to lead, and of the next case.
    assert_eq!(came(0), (1, 3), "{} {before:?} {after:?}", FIGURES[0]);
    assert_eq!(came(1), (1, 1), "{} {before:?} {after:?}", FIGURES[1]);
    // The case that was ruled on is closed; the next one is not.
    assert_eq!(came(2), (1, 1), "{} {before:?} {after:?}", FIGURES[2]);
}

/// Numerator and denominator of each, of the item that is ruled on, from a day on.
async fn figures(world: &World, since: &str) -> Vec<(i64, i64)> {
    let request = QueryIndicatorsRequest {
        codes: FIGURES.map(str::to_owned).to_vec(),
        unit_ids: vec![world.unit(COMMUNITY)],
        start_date: since.to_owned(),
        item_code: BENCH.into(),
        ..Default::default()
    };
    let answer = world.patient.indicators().query_indicators(world.dispatcher().asks(request).await).await;
    let values = answer.expect("figures").into_inner().values;
    let find = |code: &str| values.iter().find(|value| value.code == code).expect(code);
    FIGURES.map(|code| (find(code).numerator, find(code).denominator)).to_vec()
}

/// F4: the street leads and calls two departments, which come; it is supervised and answers. Of two others one stays away, for
/// so many days that the world is taken alone.
pub async fn whistle(world: &World) {
    let played = world.performs(Scenario::Whistle).await;
    let late = world.looks_at(played.case(1).expect("the case that was late")).await;
    for clock in [ClockKind::Sign, ClockKind::Report, ClockKind::Resolve] {
        let known = late.supervisions.iter().find(|one| one.clock() == clock).expect("a supervision");
        assert_eq!((known.level, known.state.as_str()), (3, "cleared"), "{clock:?}");
    }
}
