//! The templates by which posts, skills, shifts and workloads are made: facts of the demonstration district, part of the
//! release. People never come from here; they come with identity's events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use chassis::auth::Role;
use chrono::NaiveTime;
use proto::case_routing::v1::Nature;
use serde::Deserialize;

use crate::domain::{PostKind, roster::ShiftTemplate};

const FACTS: &str = include_str!("../seed/posts.toml");

/// Weight of an item of which nothing is known.
const DEFAULT_WEIGHT: i32 = 60;

/// What the file holds, ready for use.
#[derive(Debug)]
pub struct Templates {
    /// Known skills.
    pub skills: BTreeSet<String>,
    /// Post templates.
    pub posts: Vec<PostTemplate>,
    /// Shift templates.
    pub shifts: Vec<ShiftTemplate>,
    /// Version of the weights.
    pub workload_version: i32,
    line_skills: BTreeMap<String, Vec<String>>,
    by_nature: BTreeMap<String, i32>,
    by_item: BTreeMap<String, i32>,
}

/// A kind of seat that organisations have.
#[derive(Debug, Clone)]
pub struct PostTemplate {
    /// Code.
    pub code: String,
    /// Kind of the post.
    pub kind: PostKind,
    /// `community`, `street` or `department`: which shift templates apply.
    pub per: String,
    /// Line of its holders; `None` for all.
    pub line: Option<String>,
    /// Skills of its holders, besides those of their line.
    pub skills: Vec<String>,
    /// Role whose holders take such a seat.
    pub role: Role,
    /// Working minutes of a full day.
    pub daily_minutes: i32,
    /// Open assignments beyond which others go first; 0: by hand only.
    pub max_open: i32,
}

/// The templates of the release.
///
/// # Panics
/// Never in a release: the file is parsed by the tests.
pub fn templates() -> &'static Templates {
    static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| match parse(FACTS) {
        Ok(templates) => templates,
        Err(error) => panic!("seed/posts.toml is wrong: {error:#}"),
    });
    &TEMPLATES
}

impl Templates {
    /// The seat that a role's holder takes, if the role does work.
    pub fn post_for(&self, role: Role, line: Option<&str>) -> Option<&PostTemplate> {
        let of_role = || self.posts.iter().filter(|post| post.role == role);
        of_role()
            .find(|post| post.line.is_some() && post.line.as_deref() == line)
            .or_else(|| of_role().next())
    }

    /// Skills of a seat's holder on a line.
    pub fn skills_of(&self, post: &PostTemplate, line: Option<&str>) -> Vec<String> {
        let of_line = line.and_then(|line| self.line_skills.get(line)).map_or(&[][..], Vec::as_slice);
        let all: BTreeSet<&String> = post.skills.iter().chain(of_line).collect();
        all.into_iter().cloned().collect()
    }

    /// Workload of a task in minutes: its item's, else its nature's.
    pub fn weight(&self, item_code: &str, nature: Nature) -> i32 {
        let nature = nature.as_str_name().trim_start_matches("NATURE_").to_lowercase();
        self.by_item.get(item_code).or_else(|| self.by_nature.get(&nature)).copied().unwrap_or(DEFAULT_WEIGHT)
    }
}

#[derive(Deserialize)]
struct File {
    skill: Vec<Skill>,
    line_skills: BTreeMap<String, Vec<String>>,
    post: Vec<Post>,
    shift: Vec<Shift>,
    workload: Workload,
}

#[derive(Deserialize)]
struct Skill {
    code: String,
}

#[derive(Deserialize)]
struct Post {
    code: String,
    kind: String,
    per: String,
    line: String,
    skills: Vec<String>,
    account_role: String,
    daily_minutes: i32,
    max_open_assignments: i32,
}

#[derive(Deserialize)]
struct Shift {
    code: String,
    start: String,
    end: String,
    days: Vec<String>,
    per: Vec<String>,
    seats: String,
}

#[derive(Deserialize)]
struct Workload {
    version: i32,
    nature: BTreeMap<String, i32>,
    item: BTreeMap<String, i32>,
}

fn parse(text: &str) -> anyhow::Result<Templates> {
    let file: File = toml::from_str(text)?;
    Ok(Templates {
        skills: file.skill.into_iter().map(|skill| skill.code).collect(),
        posts: file.post.into_iter().map(PostTemplate::try_from).collect::<Result<_, _>>()?,
        shifts: file.shift.into_iter().map(ShiftTemplate::try_from).collect::<Result<_, _>>()?,
        workload_version: file.workload.version,
        line_skills: file.line_skills,
        by_nature: file.workload.nature,
        by_item: file.workload.item,
    })
}

impl TryFrom<Post> for PostTemplate {
    type Error = anyhow::Error;

    fn try_from(post: Post) -> Result<Self, Self::Error> {
        let unknown = |what: &str, text: &str| anyhow::anyhow!("{}: unknown {what} {text:?}", post.code);
        // A seat without an account of its own is taken by holders of the role that is named like its kind.
        let role = if post.account_role.is_empty() { &post.kind } else { &post.account_role };
        Ok(Self {
            kind: PostKind::from_code(&post.kind).ok_or_else(|| unknown("kind", &post.kind))?,
            role: Role::from_str_name(&format!("ROLE_{}", role.to_uppercase()))
                .ok_or_else(|| unknown("role", role))?,
            per: post.per,
            line: Some(post.line).filter(|line| !line.is_empty() && line != "{line}"),
            skills: post.skills,
            daily_minutes: post.daily_minutes,
            max_open: post.max_open_assignments,
            code: post.code,
        })
    }
}

impl TryFrom<Shift> for ShiftTemplate {
    type Error = anyhow::Error;

    fn try_from(shift: Shift) -> Result<Self, Self::Error> {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M");
        let (start, end) = (time(&shift.start)?, time(&shift.end)?);
        anyhow::ensure!(start < end, "{}: ends before it begins", shift.code);
        let work_day = match shift.days.as_slice() {
            [day] if day == "work_day" => true,
            [day] if day == "rest_day" => false,
            days => anyhow::bail!("{}: unknown days {days:?}", shift.code),
        };
        let in_rotation = match shift.seats.as_str() {
            "all" => false,
            "one_in_rotation" => true,
            seats => anyhow::bail!("{}: unknown seats {seats:?}", shift.code),
        };
        Ok(Self { code: shift.code, start, end, work_day, per: shift.per, in_rotation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_whole() {
        let templates = templates();
        assert_eq!(templates.shifts.len(), 3);
        let used = templates
            .posts
            .iter()
            .flat_map(|post| &post.skills)
            .chain(templates.line_skills.values().flatten());
        for skill in used {
            assert!(templates.skills.contains(skill), "{skill} is not declared");
        }
    }

    #[test]
    fn roles_take_their_seats_with_the_skills_of_their_line() {
        let templates = templates();
        let post = |role, line| templates.post_for(role, line).map(|post| post.code.as_str());
        assert_eq!(post(Role::ServiceWorker, None), Some("service_worker"));
        assert_eq!(post(Role::StationHead, None), Some("station_head"));
        assert_eq!(post(Role::GridWorker, None), Some("grid_worker"));
        assert_eq!(post(Role::AuxiliaryWorker, Some("public_security")), Some("auxiliary_public_security"));
        assert_eq!(post(Role::StreetDispatcher, None), Some("street_handler"));
        assert_eq!(post(Role::Resident, None), None);
        assert_eq!(post(Role::DistrictDispatcher, None), None);
        let officer = templates.post_for(Role::DeptOfficer, Some("housing")).unwrap();
        assert_eq!(templates.skills_of(officer, Some("housing")), ["housing", "one_window"]);
    }

    #[test]
    fn the_weight_is_the_items_or_the_natures() {
        let templates = templates();
        assert_eq!(templates.weight("CJ-0123", Nature::Complaint), 240);
        assert_eq!(templates.weight("XX-0001", Nature::Complaint), 90);
        assert_eq!(templates.weight("XX-0001", Nature::MutualHelp), 45);
        assert_eq!(templates.weight("XX-0001", Nature::Unspecified), DEFAULT_WEIGHT);
    }
}
