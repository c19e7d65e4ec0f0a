//! Demands and fund lines: what is met, what goes back, and that no line is overspent.

use proptest::prelude::*;

use super::*;
use crate::domain::{PostId, UnitId};

const HOLDER: OrgId = OrgId(Uuid::from_u128(3));

fn asked() -> Demand {
    Demand {
        transfer_id: Uuid::from_u128(1),
        from_org_id: OrgId(Uuid::from_u128(2)),
        to_org_id: HOLDER,
        line: None,
        fund_fen: 100,
        needs: vec![(PostKind::ServiceWorker, 2)],
        deadline: Timestamp::from_timestamp(1_772_413_200, 0).unwrap(),
        funds: LegState::Asked,
        fund_line_id: None,
        staff: LegState::Asked,
        post_ids: vec![],
        training_codes: vec!["basics".into()],
        training: LegState::Asked,
        training_ref: String::new(),
        effective: false,
        closed: false,
        version: 1,
    }
}

fn line(budget_fen: i64) -> FundLine {
    FundLine { id: Uuid::from_u128(9), code: "line-1".into(), org_id: HOLDER, budget_fen, allotted_fen: 0 }
}

fn post(id: u128, kind: PostKind) -> Post {
    Post {
        id: PostId(Uuid::from_u128(id)),
        number: id.to_string(),
        kind,
        org_id: HOLDER,
        unit_id: UnitId(Uuid::from_u128(4)),
        line: None,
        template: String::new(),
        state: PostState::Filled,
        daily_minutes: 480,
        max_open: 10,
    }
}

fn two() -> [Post; 2] {
    [post(11, PostKind::ServiceWorker), post(12, PostKind::ServiceWorker)]
}

#[test]
fn a_line_is_never_overspent() {
    let (demand, after) = asked().allot(line(150)).unwrap();
    assert_eq!((after.allotted_fen, demand.fund_line_id), (100, Some(line(1).id)));
    assert!(asked().allot(after.clone()).is_err(), "only 50 are left");
    assert!(demand.allot(line(1_000)).is_err(), "allotted already");
    assert_eq!(after.take_back(100).unwrap().allotted_fen, 0);
}

#[test]
fn posts_are_of_the_holder_filled_and_as_many_as_asked() {
    assert!(asked().assign(&two()).is_ok());
    assert!(asked().assign(&two()[..1]).is_err());
    assert!(asked().assign(&[two()[0].clone(), post(13, PostKind::StationHead)]).is_err());
    let vacant = Post { state: PostState::Vacant, ..post(13, PostKind::ServiceWorker) };
    assert!(asked().assign(&[two()[0].clone(), vacant]).is_err());
    let elsewhere = Post { org_id: OrgId(Uuid::from_u128(7)), ..post(13, PostKind::ServiceWorker) };
    let refused = asked().assign(&[two()[0].clone(), elsewhere]);
    assert!(matches!(refused, Err(Error::NotFound { .. })));
}

#[test]
fn courses_are_done_by_those_who_are_named_and_by_others_anew() {
    assert!(asked().train("record:1").is_err(), "nobody is named");
    let trained = asked().assign(&two()).unwrap().train("record:1").unwrap();
    assert_eq!((trained.training, trained.training_ref.as_str()), (LegState::Met, "record:1"));
    assert!(trained.clone().train("record:2").is_err(), "done already");
    assert!(trained.clone().close(true).unwrap().0.train("record:2").is_err(), "it is over");
    let (without, _) = trained.refuse_staff().unwrap();
    assert_eq!((without.training, without.training_ref.as_str()), (LegState::Asked, ""));
    let others = without.assign(&two()).unwrap().train("record:2").unwrap();
    assert_eq!((others.training, others.training_ref.as_str()), (LegState::Met, "record:2"));
    let none = Demand { training_codes: vec![], ..asked() };
    assert!(none.assign(&two()).unwrap().train("record:1").is_err(), "none are asked for");
}

#[test]
fn courses_are_refused_until_the_transfer_takes_effect() {
    let refused = asked().refuse_training().unwrap();
    assert_eq!((refused.training, refused.version), (LegState::Refused, 2), "before anybody is named");
    assert!(refused.clone().refuse_training().is_err(), "said already");
    let done = refused.assign(&two()).unwrap().train("record:1").unwrap();
    let effective = done.clone().take_effect().unwrap();
    let after_all = done.refuse_training().unwrap();
    assert_eq!((after_all.training, after_all.training_ref.as_str()), (LegState::Refused, ""));
    assert_eq!(after_all.staff, LegState::Met, "those who are named stay until it is over");
    let (over, returned) = after_all.close(true).unwrap();
    assert_eq!((over.training, returned.post_ids.len()), (LegState::Refused, 2));
    assert!(over.refuse_training().is_err() && effective.refuse_training().is_err());
    let none = Demand { training_codes: vec![], ..asked() };
    assert!(none.refuse_training().is_err(), "none are asked for");
}

#[test]
fn what_was_met_is_given_back_once_and_nothing_moves_afterwards() {
    let (met, _) = asked().assign(&two()).unwrap().allot(line(100)).unwrap();
    let effective = met.clone().take_effect().unwrap();
    assert!(effective.clone().refuse_funds().is_err() && effective.clone().refuse_staff().is_err());
    assert!(effective.clone().take_effect().is_none());
    let posts: Vec<Uuid> = two().iter().map(|post| post.id.0).collect();

    let (over, returned) = met.clone().close(true).unwrap();
    assert_eq!(returned, Returned { fund_line_id: Some(line(1).id), post_ids: posts.clone() });
    assert!(over.clone().close(true).is_none() && over.clone().take_effect().is_none());
    assert!(over.clone().allot(line(100)).is_err() && over.clone().assign(&two()).is_err());
    assert!(over.clone().refuse_funds().is_err() && over.refuse_staff().is_err());

    let (ended, returned) = effective.close(false).unwrap();
    assert_eq!(returned, Returned { fund_line_id: None, post_ids: posts });
    assert_eq!(ended.funds, LegState::Met, "what was paid stays paid");
    assert_eq!(asked().close(true).unwrap().1, Returned::default());
}

#[test]
fn a_post_that_falls_vacant_ends_the_promise_before_the_effect_and_breaks_it_afterwards() {
    let met = asked().assign(&two()).unwrap().train("record:1").unwrap();
    let posts: Vec<Uuid> = two().iter().map(|post| post.id.0).collect();
    let (early, returned) = met.clone().vacated().unwrap();
    assert_eq!((early.staff, early.training), (LegState::Refused, LegState::Asked));
    assert_eq!((early.post_ids.len(), returned.post_ids), (0, posts.clone()), "free for other work");
    let late = early.clone().take_effect().unwrap();
    assert!(early.vacated().is_none() && late.clone().vacated().is_none(), "known");
    assert!(late.held_again(&[(PostKind::ServiceWorker, 2)]).is_none(), "none is named");

    let effective = met.take_effect().unwrap();
    let (broken, returned) = effective.clone().vacated().unwrap();
    assert_eq!((broken.staff, broken.training), (LegState::Refused, LegState::Asked));
    assert_eq!((&broken.post_ids, returned), (&posts, Returned::default()), "named they still are");
    assert!(broken.training_ref.is_empty() && broken.version > effective.version);
    assert!(broken.clone().vacated().is_none(), "the second one to leave changes nothing");
    assert!(broken.clone().train("record:2").is_err(), "nobody to train");
    for few in [&[(PostKind::ServiceWorker, 1)][..], &[]] {
        assert!(broken.clone().held_again(few).is_none(), "{few:?}");
    }
    let whole = broken.clone().held_again(&[(PostKind::ServiceWorker, 2)]).unwrap();
    assert_eq!((whole.staff, whole.training), (LegState::Met, LegState::Asked), "others are to be trained");
    assert!(whole.clone().held_again(&[(PostKind::ServiceWorker, 2)]).is_none());
    assert!(whole.train("record:2").is_ok());

    let others = [post(13, PostKind::ServiceWorker), post(14, PostKind::ServiceWorker)];
    assert_eq!(broken.clone().assign(&others).unwrap().staff, LegState::Met, "or others are named");
    let (ended, returned) = broken.close(false).unwrap();
    assert_eq!((ended.staff, &returned.post_ids), (LegState::Returned, &posts));
    assert!(ended.clone().vacated().is_none());
    assert!(ended.held_again(&[(PostKind::ServiceWorker, 2)]).is_none());
}

proptest! {
    /// Whatever is done in whatever order, the line holds exactly what demands that are met hold of it.
    #[test]
    fn a_line_holds_what_its_demands_hold(steps in prop::collection::vec((0_usize..3, 0_u8..4), 1..60)) {
        let mut fund = line(250);
        let mut demands = [asked(), asked(), asked()];
        for (which, step) in steps {
            let demand = demands[which].clone();
            let (next, returned) = match step {
                0 => match demand.allot(fund.clone()) {
                    Ok((next, after)) => {
                        fund = after;
                        (next, Returned::default())
                    }
                    Err(_) => continue,
                },
                1 => match demand.refuse_funds() {
                    Ok(done) => done,
                    Err(_) => continue,
                },
                2 => match demand.close(true) {
                    Some(done) => done,
                    None => continue,
                },
                _ => (asked(), Returned {
                    // A new transfer takes the place of one that is over.
                    fund_line_id: demand.fund_line_id.filter(|_| demand.funds == LegState::Met),
                    post_ids: vec![],
                }),
            };
            if returned.fund_line_id.is_some() {
                fund = fund.take_back(100).unwrap();
            }
            demands[which] = next;
            let held = demands.iter().filter(|demand| demand.funds == LegState::Met).count();
            prop_assert_eq!(fund.allotted_fen, 100 * i64::try_from(held).unwrap());
            prop_assert!(fund.allotted_fen <= fund.budget_fen);
        }
    }
}
