//! Who is seeded: the account rules applied to the planned places.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use chassis::{Timestamp, auth::Role, clock::new_id};

use super::{
    SeedOptions, SeededAccount,
    files::{self, AccountRule, AccountScope, Files},
    people,
    world::{Placed, World},
};
use crate::{
    domain::{
        OrgId, UnitId, login,
        organization::{Organization, OrganizationKind},
        personal::NewPerson,
        purpose,
        unit::UnitKind,
    },
    rpc::pseudonym,
};

/// The privacy notice of the made-up people.
const NOTICE: &str = "demonstration";

/// A person to be.
pub struct Planned {
    /// Login, password and what the caller is told.
    pub account: SeededAccount,
    /// Role.
    pub role: Role,
    /// Unit of the grant.
    pub unit: UnitId,
    /// Organisation the person acts for.
    pub org: Option<OrgId>,
    /// Purposes of the grant; `None` means every one of the role.
    pub purposes: Option<BTreeSet<String>>,
    /// Personal fields.
    pub person: NewPerson,
}

/// One place an account rule applies to: the unit, with the code, line and organisation for its placeholders.
struct Spot<'w> {
    placed: &'w Placed,
    line: &'w str,
    org: &'w str,
}

fn spots<'w>(world: &'w World, rule: &AccountRule) -> Result<Vec<Spot<'w>>> {
    let unit = |placed| Spot { placed, line: "", org: "" };
    let at_org = |org: &'w Organization| {
        let placed = world.units.values().find(|placed| placed.unit.id == org.unit_id);
        placed
            .map(|placed| Spot { placed, line: org.line.as_deref().unwrap_or_default(), org: &org.code })
            .with_context(|| format!("organisation {} sits nowhere", org.code))
    };
    let of_kind =
        |kind: OrganizationKind| world.orgs.iter().filter(move |org| org.kind == kind).map(at_org).collect();
    match rule.per.as_str() {
        "district" => Ok(world.of_kind(UnitKind::District).into_iter().map(unit).collect()),
        "street" => Ok(world.of_kind(UnitKind::Street).into_iter().map(unit).collect()),
        "community" => Ok(world.of_kind(UnitKind::Community).into_iter().map(unit).collect()),
        "department" => of_kind(OrganizationKind::Department),
        per => match (per.strip_prefix("org_kind:"), per.strip_prefix("org:")) {
            (Some(kind), _) => of_kind(files::organization_kind(kind)?),
            (None, Some(code)) => Ok(vec![at_org(world.org(code)?)?]),
            (None, None) => bail!("accounts.toml: per = {per:?} is not known"),
        },
    }
}

/// Plans everybody.
///
/// # Errors
/// When a rule names what does not exist.
pub fn plan_people(
    files: &Files,
    world: &World,
    options: &SeedOptions,
    now: Timestamp,
) -> Result<Vec<Planned>> {
    let file = &files.accounts;
    let mut draw = people::Draw::new(file.seed, &file.names, &file.phones);
    let district = world.of_kind(UnitKind::District).into_iter().next().context("there is no district")?;
    let communities: Vec<&Placed> =
        world.of_kind(UnitKind::Community).into_iter().filter(|c| wanted(world, options, c)).collect();
    let mut planned = Vec::new();
    for rule in &file.account {
        let role = rule.role()?;
        for spot in spots(world, rule)?.into_iter().filter(|spot| wanted(world, options, spot.placed)) {
            let count = match (rule.scope, options.residents) {
                (AccountScope::Own, Some(most)) => rule.count.min(most),
                _ => rule.count,
            };
            for n in 1..=count {
                let place = match rule.scope {
                    AccountScope::Unit => spot.placed,
                    AccountScope::District => district,
                    AccountScope::Own => match communities.get(n as usize % communities.len().max(1)) {
                        Some(community) => community,
                        None => spot.placed,
                    },
                };
                planned.push(plan_person(rule, role, n, &spot, place, world, &mut draw, now)?);
            }
        }
    }
    Ok(planned)
}

/// Whether people of this place are seeded: on a wanted street, or above the streets.
fn wanted(world: &World, options: &SeedOptions, placed: &Placed) -> bool {
    let Some(streets) = &options.streets else { return true };
    let above = matches!(placed.unit.kind, UnitKind::City | UnitKind::District);
    above || streets.iter().filter_map(|code| world.units.get(code)).any(|s| placed.path.contains(&s.unit.id))
}

#[expect(clippy::too_many_arguments, reason = "one rule at one place, called once")]
fn plan_person(
    rule: &AccountRule,
    role: Role,
    n: u32,
    spot: &Spot<'_>,
    place: &Placed,
    world: &World,
    draw: &mut people::Draw<'_>,
    now: Timestamp,
) -> Result<Planned> {
    let fill = |text: &str| {
        text.replace("{nnn}", &format!("{n:03}"))
            .replace("{n}", &n.to_string())
            .replace("{code}", &spot.placed.unit.code)
            .replace("{line}", spot.line)
            .replace("{org}", spot.org)
    };
    let org_code = fill(&rule.org);
    let org = if org_code.is_empty() { None } else { Some(world.org(&org_code)?.id) };
    let line = match fill(&rule.line).as_str() {
        "*" | "" => None,
        line => Some(line.to_owned()),
    };
    let login = login::login(&fill(&rule.login)).context("accounts.toml")?;
    if let Some(unknown) = rule.purposes.iter().flatten().find(|code| !purpose::is_known(code)) {
        bail!("accounts.toml: {unknown} is no purpose");
    }
    Ok(Planned {
        role,
        unit: place.unit.id,
        org,
        purposes: rule.purposes.clone(),
        person: NewPerson {
            name: draw.name(),
            id_no: None,
            phone: draw.phone(),
            birth_year: Some(draw.birth_year(now)),
            home_unit_id: place.unit.id,
            notice_version: NOTICE.to_owned(),
        },
        account: SeededAccount {
            login,
            password: people::password(),
            role: rule.role.clone(),
            unit_code: place.unit.code.clone(),
            org_code,
            person_id: new_id(),
            actor_ref: pseudonym(),
            line,
        },
    })
}
