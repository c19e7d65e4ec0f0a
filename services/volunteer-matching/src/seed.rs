//! The demonstration district's partners: which skills the volunteers of an organisation bring.

use chassis::{Error, Result, topology::Topology};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::Volunteer;

const PARTNERS: &str = include_str!("../seed/partners.toml");

/// The partners' list.
#[derive(Clone, Debug, Deserialize)]
pub struct Partners {
    partner: Vec<Partner>,
    volunteer: Defaults,
}

#[derive(Clone, Debug, Deserialize)]
struct Partner {
    partner: String,
    skills: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Defaults {
    skills_each: usize,
}

impl Partners {
    /// The shipped list.
    ///
    /// # Errors
    /// When the file cannot be read; a test reads it.
    pub fn shipped() -> Result<Self> {
        toml::from_str(PARTNERS).map_err(Error::internal)
    }

    /// Gives volunteers who told no skills some of their organisation's. Done on reading, because a person's grant
    /// may arrive before the organisation it names.
    pub fn stand_in(&self, topology: &Topology, volunteers: &mut [Volunteer]) {
        for volunteer in volunteers.iter_mut().filter(|volunteer| volunteer.skill_codes.is_none()) {
            let code = topology.org(volunteer.org_id).map(|org| org.code.clone()).unwrap_or_default();
            volunteer.skill_codes = Some(self.skills_of(&code, volunteer.person_id));
        }
    }

    /// Skills of one volunteer of an organisation: a few of the organisation's, the same for the same person.
    pub fn skills_of(&self, org_code: &str, person_id: Uuid) -> Vec<String> {
        let kind = format!(
            "kind:{}",
            org_code.split(':').next().unwrap_or_default().replace("group", "self_gov_group")
        );
        let found =
            self.partner.iter().find(|partner| partner.partner == org_code || partner.partner == kind);
        let Some(partner) = found.filter(|partner| !partner.skills.is_empty()) else { return Vec::new() };
        let count = self.volunteer.skills_each.min(partner.skills.len());
        let start = (person_id.as_u128() % partner.skills.len() as u128) as usize;
        (0..count).map(|n| partner.skills[(start + n) % partner.skills.len()].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volunteers_bring_some_of_their_organisations_skills() {
        let partners = Partners::shipped().expect("the shipped list");
        let person = Uuid::from_u128(42);
        let skills = partners.skills_of("social_org:garden", person);
        assert!(!skills.is_empty());
        assert_eq!(skills, partners.skills_of("social_org:garden", person));
        assert!(partners.skills_of("nobody:here", person).is_empty());
    }
}
