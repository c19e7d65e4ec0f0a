//! Ranks a partner's volunteers for an offer: skill, nearness in the unit tree, load, then who served least. The same
//! input gives the same order, and every place in it has its reasons.

use uuid::Uuid;

use super::{Volunteer, VolunteerId};

/// A volunteer's place in the ranking.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Candidate {
    /// Who.
    #[serde(with = "id")]
    pub volunteer_id: VolunteerId,
    /// Higher is better.
    pub score: i32,
    /// Codes with values: `skill:1/2`, `distance:2`, `load:0`.
    pub reasons: Vec<String>,
}

mod id {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Uuid, VolunteerId};

    pub fn serialize<S: Serializer>(id: &VolunteerId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VolunteerId, D::Error> {
        Uuid::deserialize(deserializer).map(VolunteerId)
    }
}

/// A skill that fits weighs more than any nearness, nearness more than any load.
const SKILL: i32 = 1000;
const NEAR: i32 = 100;
const LOAD: i32 = 20;
/// A list longer than this helps no one.
const SHOWN: usize = 10;

/// The best volunteers first. `path` leads from the root to the place; `home` gives a volunteer's own path.
pub fn rank(
    volunteers: &[Volunteer],
    skills: &[String],
    path: &[Uuid],
    home: impl Fn(Uuid) -> Vec<Uuid>,
) -> Vec<Candidate> {
    let mut ranked: Vec<_> = volunteers
        .iter()
        .filter(|volunteer| volunteer.is_free())
        .map(|volunteer| {
            let own = volunteer.skill_codes.as_deref().unwrap_or_default();
            let fits = skills.iter().filter(|skill| own.contains(skill)).count();
            let home = volunteer.home_unit_id.map(&home).unwrap_or_default();
            let shared = path.iter().zip(&home).take_while(|(a, b)| a == b).count();
            let distance = path.len() - shared;
            let score = SKILL * i32::try_from(fits).unwrap_or(i32::MAX / SKILL)
                + NEAR * i32::try_from(shared).unwrap_or(0)
                - LOAD * i32::try_from(volunteer.open_offers).unwrap_or(0);
            let reasons = vec![
                format!("skill:{fits}/{}", skills.len()),
                format!("distance:{distance}"),
                format!("load:{}", volunteer.open_offers),
            ];
            (volunteer, Candidate { volunteer_id: volunteer.id, score, reasons })
        })
        .collect();
    ranked.sort_by(|(a, x), (b, y)| {
        y.score.cmp(&x.score).then(a.locked_minutes.cmp(&b.locked_minutes)).then(a.id.cmp(&b.id))
    });
    ranked.into_iter().take(SHOWN).map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{MAX_OPEN, VolunteerState};

    fn volunteer(n: u128) -> Volunteer {
        Volunteer {
            id: VolunteerId(Uuid::from_u128(n)),
            person_id: Uuid::from_u128(1000 + n),
            volunteer_ref: format!("v{n}"),
            org_id: Uuid::from_u128(7),
            home_unit_id: None,
            skill_codes: None,
            state: VolunteerState::Active,
            locked_minutes: 0,
            open_offers: 0,
        }
    }

    fn order(volunteers: &[Volunteer], skills: &[&str]) -> Vec<u128> {
        let skills: Vec<_> = skills.iter().map(|skill| (*skill).to_owned()).collect();
        let ranked = rank(volunteers, &skills, &[Uuid::from_u128(1), Uuid::from_u128(2)], |home| {
            vec![Uuid::from_u128(1), home]
        });
        ranked.into_iter().map(|candidate| candidate.volunteer_id.0.as_u128()).collect()
    }

    #[test]
    fn a_fitting_skill_beats_nearness_and_nearness_beats_load() {
        let skilled = Volunteer { skill_codes: Some(vec!["gardening".into()]), ..volunteer(1) };
        let near = Volunteer { home_unit_id: Some(Uuid::from_u128(2)), open_offers: 2, ..volunteer(2) };
        assert_eq!(order(&[volunteer(3), near, skilled], &["gardening"]), [1, 2, 3]);
    }

    #[test]
    fn among_equals_who_served_least_comes_first() {
        let veteran = Volunteer { locked_minutes: 500, ..volunteer(1) };
        assert_eq!(order(&[veteran, volunteer(2)], &[]), [2, 1]);
    }

    proptest! {
        #[test]
        fn nobody_paused_or_full_is_ranked_and_the_order_of_input_does_not_matter(
            states in prop::collection::vec((0usize..5, 0i64..8), 0..12),
            turn in 0usize..12,
        ) {
            let mut volunteers: Vec<_> = states.iter().enumerate().map(|(n, (state, open))| Volunteer {
                state: VolunteerState::ALL[*state],
                open_offers: *open,
                ..volunteer(n as u128 + 1)
            }).collect();
            let first = order(&volunteers, &[]);
            for id in &first {
                let found = volunteers.iter().find(|volunteer| volunteer.id.0.as_u128() == *id).expect("ranked");
                prop_assert!(found.state == VolunteerState::Active && found.open_offers < MAX_OPEN);
            }
            if !volunteers.is_empty() {
                let turn = turn % volunteers.len();
                volunteers.rotate_left(turn);
            }
            prop_assert_eq!(first, order(&volunteers, &[]));
        }
    }
}
