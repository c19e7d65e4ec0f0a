//! The enums of the events as they are kept here: their proto numbers, and their snake_case names for reports.

use proto::case_routing::v1::{CaseState, ClosedCode, DeliveryMode, LimitUnit, Nature, Origin};

/// The number of an enum value as facts keep it; numbers of the protos are small.
pub fn small(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(0)
}

/// A state from its number; `Unspecified` for an unknown one.
pub fn state(number: i16) -> CaseState {
    CaseState::try_from(i32::from(number)).unwrap_or_default()
}

/// Name of a state, such as `in_progress`; empty when unset.
pub fn state_name(number: i16) -> String {
    short(state(number).as_str_name(), "CASE_STATE_")
}

/// Name of a delivery mode, such as `gov_direct`; empty when unset.
pub fn delivery_mode_name(number: i16) -> String {
    let mode = DeliveryMode::try_from(i32::from(number)).unwrap_or_default();
    short(mode.as_str_name(), "DELIVERY_MODE_")
}

/// Name of a closed code, such as `partly_resolved`; empty when unset.
pub fn closed_code_name(number: i16) -> String {
    let code = ClosedCode::try_from(i32::from(number)).unwrap_or_default();
    short(code.as_str_name(), "CLOSED_CODE_")
}

/// Units in which resolve clocks are counted (domain.md §6.1), with their names for readers.
pub const CLOCK_UNITS: [(LimitUnit, &str, &str); 5] = [
    (LimitUnit::CalHour, "紧急工作时", "hours around the clock"),
    (LimitUnit::WorkHour, "工作时", "working hours"),
    (LimitUnit::WorkDay, "工作日", "working days"),
    (LimitUnit::CalDay, "自然日", "calendar days"),
    (LimitUnit::Month, "月", "months"),
];

/// Name of the unit of a limit, such as `work_day`; empty when unset.
pub fn limit_unit_name(unit: LimitUnit) -> String {
    short(unit.as_str_name(), "LIMIT_UNIT_")
}

fn short(name: &str, prefix: &str) -> String {
    match name.strip_prefix(prefix) {
        Some("UNSPECIFIED") | None => String::new(),
        Some(rest) => rest.to_ascii_lowercase(),
    }
}

/// Whether it was started from above, such as a topic case: nobody asked.
pub fn from_above(origin: i16) -> bool {
    i32::from(origin) == Origin::TopDown as i32
}

/// Whether it was found on patrol.
pub fn from_patrol(origin: i16) -> bool {
    i32::from(origin) == Origin::Patrol as i32
}

/// Whether it is about a component or an event (部件, 事件).
pub fn of_field(nature: i16) -> bool {
    let nature = i32::from(nature);
    nature == Nature::Component as i32 || nature == Nature::CityEvent as i32
}

/// Whether a case in this state has ended (domain.md §2.2.2; Closed can reopen, Merged can be undone).
pub fn ended(state: CaseState) -> bool {
    matches!(
        state,
        CaseState::NotAccepted
            | CaseState::HandedOff
            | CaseState::Merged
            | CaseState::Closed
            | CaseState::Archived
            | CaseState::Withdrawn
    )
}

/// Whether a case in this state counts as closed (结案).
pub fn closed(state: CaseState) -> bool {
    matches!(state, CaseState::Closed | CaseState::Archived)
}

/// Whether the work is done and was verified.
pub fn verified(state: CaseState) -> bool {
    matches!(state, CaseState::Resolved | CaseState::Closed | CaseState::Archived)
}

/// Whether the resolve limit of a case in this state can still be missed: it is open and not completed.
pub fn due_runs(state: CaseState) -> bool {
    !ended(state)
        && !matches!(
            state,
            CaseState::Unspecified | CaseState::Completed | CaseState::Verifying | CaseState::Resolved
        )
}

/// Whether a case in this state is left out of the due cohort.
pub fn never_due(state: CaseState) -> bool {
    matches!(state, CaseState::Merged | CaseState::HandedOff | CaseState::Withdrawn | CaseState::NotAccepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_protos_names_without_prefix() {
        assert_eq!(state_name(12), "in_progress");
        assert_eq!(state_name(0), "");
        assert_eq!(state_name(99), "");
        assert_eq!(delivery_mode_name(4), "self_governance");
        assert_eq!(closed_code_name(11), "handed_off");
        assert_eq!(CLOCK_UNITS.map(|(unit, ..)| unit as i16), [1, 2, 3, 4, 5]);
        assert_eq!(limit_unit_name(LimitUnit::CalHour), "cal_hour");
        assert!(LimitUnit::try_from(6).is_err(), "a new unit needs names and indicators");
    }

    #[test]
    fn nineteen_states_of_which_six_have_ended() {
        let all: Vec<CaseState> = (1..=19).map(state).collect();
        assert!(all.iter().all(|s| *s != CaseState::Unspecified));
        assert_eq!(all.iter().filter(|s| ended(**s)).count(), 6);
        assert_eq!(all.iter().filter(|s| due_runs(**s)).count(), 10);
    }
}
