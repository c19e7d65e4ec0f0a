//! Applications for an admission that nobody decides.

use super::admissions::admission_in;
use super::*;

#[test]
fn what_nobody_decides_is_over_with_its_last_day_and_told_to_nobody() {
    for state in [AdmissionState::Applied, AdmissionState::Assessed] {
        let waits = admission_in(state);
        let last = waits.valid_to;
        assert_eq!(waits.next_due(), Some(last), "{state:?}");
        assert_eq!(waits.clone().tick(last - TimeDelta::seconds(1)), None, "{state:?}");
        let version = waits.version;
        let over = waits.tick(last).unwrap();
        assert_eq!(over.told, None, "nobody was told that it was applied for");
        let over = over.admission;
        assert_eq!((over.state, over.reason_code.as_deref()), (AdmissionState::Expired, Some("not_decided")));
        assert_eq!((over.version, over.next_due(), over.standing()), (version + 1, None, None));
        assert_eq!(code(over.approve(&arbiter(), last).unwrap_err()), "admission_state");
    }
    // What was decided ends as it did.
    let over = admission_in(AdmissionState::Expired);
    assert_eq!(over.reason_code, None);
}
