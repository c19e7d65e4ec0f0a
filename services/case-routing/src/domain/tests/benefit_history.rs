//! Random histories of re-checks: whoever does whatever in whatever order, a benefit goes on or ends by what somebody decides of
//! its open re-check, and by nothing else.

use proptest::prelude::*;

use super::super::ApplicationState as S;
use super::super::*;
use super::application_history::{Step, check_way, step};
use super::application_world::*;
use super::benefit::{begin, delivered};
use super::world::*;

/// A re-check as far as others have brought it already.
fn brought(world: &mut World, begun: Filed, start: u8) -> Way {
    let way = Way::of(begun);
    if start == 0 {
        return way;
    }
    let way = way.then(|p, c| p.start_investigation(c, &world.act(person("lead", STREET_OFFICE))));
    if start == 1 { way } else { world.reviewed(way, true) }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..Default::default() })]

    #[test]
    fn only_a_decision_on_its_open_recheck_renews_or_ends_a_benefit(
        rounds in proptest::collection::vec(
            (0_u8..4, proptest::collection::vec((0_u8..20, 0_u8..7, 0_i64..9), 1..80)),
            1..4,
        ),
    ) {
        let mut world = world();
        let mut basis = Way::of(delivered(&mut world, LASTING));
        let (benefit, mut version) = (basis.papers.id, 1);
        for (start, steps) in rounds {
            version += 1;
            let begun = begin(&mut world, &basis, LASTING, version).unwrap();
            prop_assert_eq!(&begun.benefit, &None, "nothing is decided by it");
            let mut way = brought(&mut world, begun, start);
            let mut changed: Option<BenefitChange> = None;
            for (verb, who, days) in steps {
                let tried = step(&mut world, &way, verb, who, days);
                let Some(Step { way: after, notice, benefit }) = tried else { continue };
                way = after;
                check_way(&way, 0);
                prop_assert_eq!(notice, None, "it is not shown again");
                prop_assert!(changed.is_none() || benefit.is_none(), "decided once");
                changed = changed.or(benefit);
                // C-5: neither time nor the holder ends it in between.
                prop_assert_eq!(way.state().is_end(), changed.is_some(), "in {}", way.state());
            }
            // While it is open nothing else falls due.
            let Some(change) = changed else { break };
            prop_assert_eq!((change.benefit, change.version), (benefit, version + 1));
            let renewed = match change.news {
                BenefitNews::Renewed { review_at, .. } => Some(review_at),
                BenefitNews::Ended { .. } => None,
                BenefitNews::Granted { .. } => panic!("it was granted before"),
            };
            prop_assert_eq!(way.state(), if renewed.is_some() { S::Delivered } else { S::Denied });
            let Some(review_at) = renewed else { break };
            prop_assert!(review_at > world.now);
            prop_assert_eq!(way.papers.benefit.as_ref().map(|period| period.review_at), renewed);
            (version, basis) = (change.version, way);
        }
    }
}
