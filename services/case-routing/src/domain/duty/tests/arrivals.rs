//! The verdicts of the five arrivals, for duties in every state and for what has come only in part.

use calendar::{Limit, TimeUnit};
use chrono::NaiveDate;

use super::admissions::admission_in;
use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn standing(item: &str, listed_from: Option<&str>) -> ItemStanding {
    ItemStanding {
        item: item.into(),
        listed_from: listed_from.map(day),
        promised: Some(Limit::new(TimeUnit::WorkDay, 3)),
        statutory: None,
    }
}

fn both() -> [ItemStanding; 2] {
    [standing("X-1", Some("2026-03-10")), standing("X-2", Some("2026-03-10"))]
}

fn says(arrival: Arrival) -> (ArrivalState, &'static str) {
    (arrival.state, arrival.reason_code)
}

const ARRIVED: (ArrivalState, &str) = (ArrivalState::Arrived, "");

#[test]
fn only_what_is_in_force_has_arrivals() {
    for state in TransferState::ALL {
        match in_state(state).arrivals(&both()) {
            Ok(found) => {
                assert_eq!(state, TransferState::Effective);
                for part in [found.staff, found.tasks, found.promise, found.funds] {
                    assert_eq!(says(part), ARRIVED, "C-12: all of it is there");
                }
            }
            Err(error) => {
                assert_ne!(state, TransferState::Effective);
                assert_eq!(code(error), "transfer_state", "{state:?}");
            }
        }
    }
    for state in AdmissionState::ALL {
        match admission_in(state).arrivals(&both()[..1]) {
            Ok(_) => assert_eq!(state, AdmissionState::InForce),
            Err(error) => {
                assert_ne!(state, AdmissionState::InForce);
                assert_eq!(code(error), "admission_state", "{state:?}");
            }
        }
    }
    let rolled_back = in_state(TransferState::RolledBack).arrivals(&both()).unwrap_err();
    assert!(rolled_back.to_string().contains("rolled_back"), "{rolled_back}");
}

#[test]
fn what_came_only_in_part_is_not_there_yet() {
    let effective = || in_state(TransferState::Effective);
    let one = [standing("X-1", Some("2026-03-10")), standing("X-2", None)];
    let found = effective().arrivals(&one).unwrap();
    assert_eq!(says(found.tasks), (ArrivalState::NotYet, "partly_listed"));
    assert_eq!(says(found.promise), ARRIVED, "the promise stands in the catalogue");
    let none = [standing("X-1", None), standing("X-2", None)];
    assert_eq!(says(effective().arrivals(&none).unwrap().tasks), (ArrivalState::NotYet, "not_listed"));
    assert_eq!(says(effective().arrivals(&[]).unwrap().tasks), (ArrivalState::NotYet, "not_listed"));
    assert_eq!(says(effective().arrivals(&[]).unwrap().promise), (ArrivalState::NotYet, "no_promise"));

    // An item that has ended promises nobody anything.
    let over = ItemStanding { promised: None, ..standing("X-2", None) };
    let found = effective().arrivals(&[standing("X-1", Some("2026-03-10")), over]).unwrap();
    assert_eq!(says(found.promise), (ArrivalState::NotYet, "no_promise"));

    let mut without = effective();
    (without.legs.staff, without.legs.funds) = (Leg::Open, Leg::Open);
    let found = without.arrivals(&both()).unwrap();
    assert_eq!(says(found.staff), (ArrivalState::NotYet, "not_confirmed"));
    assert_eq!(says(found.funds), (ArrivalState::NotYet, "not_confirmed"));

    // Whoever is on the posts has to have done the courses, where there are some.
    let mut untrained = effective();
    untrained.legs.training = Leg::Open;
    assert_eq!(says(untrained.arrivals(&both()).unwrap().staff), (ArrivalState::NotYet, "not_confirmed"));
    untrained.training_codes.clear();
    assert_eq!(says(untrained.arrivals(&both()).unwrap().staff), ARRIVED);
}

#[test]
fn of_an_admission_nobody_knows_whether_what_was_promised_came() {
    let item = [standing("X-1", Some("2026-03-10"))];
    let bare = admission_in(AdmissionState::InForce);
    let found = bare.arrivals(&item).unwrap();
    assert_eq!(says(found.staff), (ArrivalState::NotYet, "none_promised"));
    assert_eq!(says(found.funds), (ArrivalState::NotYet, "none_promised"));
    assert_eq!((says(found.tasks), says(found.promise)), (ARRIVED, ARRIVED));

    let unknown = (ArrivalState::Unknown, "not_recorded");
    let posts = vec![PostNeed { kind: "service_worker".into(), count: 1 }];
    let with_posts = TaskAdmission { posts, fund_fen: 100, ..bare.clone() };
    let found = with_posts.arrivals(&item).unwrap();
    assert_eq!((says(found.staff), says(found.funds)), (unknown, unknown));
    let with_course = TaskAdmission { training_codes: vec!["basics".into()], ..bare };
    assert_eq!(says(with_course.arrivals(&item).unwrap().staff), unknown, "nor who was trained");
}

#[test]
fn it_counts_from_the_day_since_which_all_of_it_is_listed_without_a_break() {
    let first = day("2026-03-10");
    assert_eq!(since(&both(), first), first);
    // Suspended and resumed: the entries came again later.
    let again = [standing("X-1", Some("2026-04-02")), standing("X-2", Some("2026-04-02"))];
    assert_eq!(since(&again, first), day("2026-04-02"));
    assert_eq!(since(&[standing("X-1", None)], first), first);
    // What a list says of days before the duty was in effect is none of it.
    assert_eq!(since(&[standing("X-1", Some("2020-01-01"))], first), first);
}
