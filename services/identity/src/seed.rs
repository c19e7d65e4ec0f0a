//! Seeds an empty identity with the demonstration district: units, organisations by template, edges by rule, people with
//! logins and generated passwords. Everything goes out as events, so that the other services learn it. A database that
//! holds units already is left alone.

mod files;
mod people;

use std::{collections::HashMap, fmt};

use anyhow::{Context, Result, bail};
use chassis::{
    Clock, Error, Timestamp,
    auth::Role,
    clock::new_id,
    crypto::Crypto,
    db::{Db, Tx},
};
use uuid::Uuid;

use self::files::{AccountRule, AccountScope, EdgeRule, Files, Within};
use crate::{
    config::Config,
    domain::{
        EdgeId, GrantId, OrgId, PersonId, UnitId,
        edge::AuthorityEdge,
        facts,
        grant::{RoleGrant, RoleGrantState},
        login,
        organization::{Organization, OrganizationKind},
        personal::NewPerson,
        unit::{NewUnit, Unit, UnitKind},
    },
    password::Passwords,
    rpc::pseudonym,
    store::{accounts, edges, grants, organizations, people::People, units},
};

/// The privacy notice of the made-up people.
const NOTICE: &str = "demonstration";

/// Writes the report's passwords somewhere safe.
pub type Keep = Box<dyn FnOnce(&SeedReport) -> Result<()> + Send>;

/// What to seed.
#[derive(Default)]
pub struct SeedOptions {
    /// Only people of these streets (by code), of their communities and of the district; `None` means of all.
    pub streets: Option<Vec<String>>,
    /// At most so many residents; `None` means all of the file.
    pub residents: Option<u32>,
    /// Called with the passwords just before the commit, so that a crash never leaves accounts nobody can enter. When
    /// it fails nothing is seeded.
    pub keep: Option<Keep>,
}

/// What was seeded.
#[derive(Debug, Default)]
pub struct SeedReport {
    /// Whether there was something already; then nothing was done.
    pub already: bool,
    /// Units.
    pub units: usize,
    /// Organisations.
    pub organizations: usize,
    /// Authority edges.
    pub edges: usize,
    /// Accounts with their passwords: the only time they are known.
    pub accounts: Vec<SeededAccount>,
}

/// An account with its password.
pub struct SeededAccount {
    /// Login.
    pub login: String,
    /// Password in clear; it is kept nowhere else.
    pub password: String,
    /// Lower-case name of the role, such as `street_dispatcher`.
    pub role: String,
    /// Code of the unit of the grant.
    pub unit_code: String,
    /// Code of the organisation; empty when there is none.
    pub org_code: String,
    /// The person.
    pub person_id: Uuid,
    /// Pseudonym of the person, as events and assignments show it.
    pub actor_ref: String,
    /// Line of the grant; `None` means every line.
    pub line: Option<String>,
    /// Whether the account belongs in the short list shown to people.
    pub listed: bool,
}

impl fmt::Debug for SeededAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededAccount")
            .field("login", &self.login)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Units and organisations in hand, with what their rows do not hold.
struct World {
    units: HashMap<String, Placed>,
    order: Vec<String>,
    orgs: Vec<Organization>,
    org_by_code: HashMap<String, usize>,
}

struct Placed {
    unit: Unit,
    class: String,
    path: Vec<UnitId>,
}

/// A person to be.
struct Planned {
    account: SeededAccount,
    role: Role,
    unit: UnitId,
    org: Option<OrgId>,
    person: NewPerson,
}

/// Seeds when empty.
///
/// # Errors
/// When a seed file contradicts itself, the database fails, or `keep` fails; then nothing is seeded.
pub async fn seed(db: &Db, crypto: &Crypto, clock: &Clock, options: SeedOptions) -> Result<SeedReport> {
    if !is_empty(db).await? {
        return Ok(SeedReport { already: true, ..SeedReport::default() });
    }
    let files = Files::load()?;
    let world = World::plan(&files)?;
    let edges = plan_edges(&files, &world)?;
    let planned = plan_people(&files, &world, &options, clock.now())?;
    let words = planned.iter().map(|p| p.account.password.clone()).collect();
    let hashes = Passwords::new(&Config::default())?.hash_all(words).await?;

    let vault = People::new(crypto.clone());
    let mut report = SeedReport {
        already: false,
        units: world.order.len(),
        organizations: world.orgs.len(),
        edges: edges.len(),
        accounts: Vec::new(),
    };
    let real_now = clock.real_now();
    let outcome = db
        .transaction(async |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            if !units::scan(tx.conn, Uuid::nil(), 1).await?.is_empty() {
                return Ok(None); // another process was faster
            }
            world.store(tx).await?;
            for edge in &edges {
                edges::insert(tx.conn, edge).await?;
                tx.emit(facts::authority_edge_changed(edge));
            }
            for (planned, hash) in planned.into_iter().zip(&hashes) {
                report.accounts.push(store_person(tx, &vault, planned, hash, real_now).await?);
            }
            if let Some(keep) = options.keep {
                keep(&report).map_err(|error| Error::internal(format!("{error:#}")))?;
            }
            Ok(Some(report))
        })
        .await;
    match outcome {
        Ok(Some(report)) => Ok(report),
        Ok(None) => Ok(SeedReport { already: true, ..SeedReport::default() }),
        Err(error) => Err(anyhow::anyhow!(error.chain())).context("seeding identity"),
    }
}

async fn is_empty(db: &Db) -> Result<bool> {
    Ok(units::scan(&mut *db.conn().await?, Uuid::nil(), 1).await?.is_empty())
}

impl World {
    fn plan(files: &Files) -> Result<Self> {
        let mut world =
            Self { units: HashMap::new(), order: vec![], orgs: vec![], org_by_code: HashMap::new() };
        for line in &files.units {
            let new = NewUnit {
                code: line.code.clone(),
                code_system: line.code_system.clone(),
                code_year: line.code_year,
                kind: line.kind()?,
                name_zh: line.name.clone(),
                name_en: line.name_en.clone(),
            };
            let parent = match line.parent_code.as_str() {
                "" => None,
                code => Some(world.unit(code)?),
            };
            let unit = Unit::create(UnitId(new_id()), new, parent.map(|p| &p.unit), line.valid_from())
                .with_context(|| format!("unit {}", line.code))?;
            let mut path = parent.map(|p| p.path.clone()).unwrap_or_default();
            path.push(unit.id);
            world.order.push(line.code.clone());
            world.units.insert(line.code.clone(), Placed { unit, class: line.class.clone(), path });
        }
        let from = files.organizations.valid_from();
        for entry in &files.organizations.organization {
            let unit = world.unit(&entry.unit_code)?.unit.id;
            let names = (entry.name_zh.clone(), entry.name_en.clone());
            world.add_org(entry.code.clone(), entry.kind()?, names, unit, entry.line.clone(), from)?;
        }
        for template in &files.organizations.template {
            let unit_kind = template.unit_kind()?;
            for code in world.order.clone() {
                let placed = world.unit(&code)?;
                let class_fits = template.unit_class.as_ref().is_none_or(|class| *class == placed.class);
                if placed.unit.kind != unit_kind || !class_fits {
                    continue;
                }
                let (unit, name) = (placed.unit.id, placed.unit.name_zh.clone());
                let names = (template.name_zh.replace("{name}", &name), template.name_en.clone());
                world.add_org(
                    template.code.replace("{code}", &code),
                    template.kind()?,
                    names,
                    unit,
                    None,
                    from,
                )?;
            }
        }
        Ok(world)
    }

    fn add_org(
        &mut self,
        code: String,
        kind: OrganizationKind,
        (name_zh, name_en): (String, String),
        unit_id: UnitId,
        line: Option<String>,
        valid_from: Timestamp,
    ) -> Result<()> {
        let id = OrgId(new_id());
        if self.org_by_code.insert(code.clone(), self.orgs.len()).is_some() {
            bail!("organisation {code} is named twice");
        }
        let (valid_to, version) = (None, 1);
        self.orgs.push(Organization {
            id,
            code,
            kind,
            name_zh,
            name_en,
            unit_id,
            line,
            valid_from,
            valid_to,
            version,
        });
        Ok(())
    }

    fn unit(&self, code: &str) -> Result<&Placed> {
        self.units.get(code).with_context(|| format!("there is no unit {code}"))
    }

    fn org(&self, code: &str) -> Result<&Organization> {
        let at = self.org_by_code.get(code).with_context(|| format!("there is no organisation {code}"))?;
        Ok(&self.orgs[*at])
    }

    fn of_kind(&self, kind: UnitKind) -> Vec<&Placed> {
        self.order.iter().filter_map(|code| self.units.get(code)).filter(|p| p.unit.kind == kind).collect()
    }

    async fn store(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for placed in self.order.iter().filter_map(|code| self.units.get(code)) {
            units::insert(tx.conn, &placed.unit).await?;
            tx.emit(facts::unit_changed(&placed.unit));
        }
        for org in &self.orgs {
            organizations::insert(tx.conn, org).await?;
            tx.emit(facts::organization_changed(org));
        }
        Ok(())
    }
}

/// Edges by rule. A rule that would break invariant A-1, or the table of edge kinds, stops the seed.
fn plan_edges(files: &Files, world: &World) -> Result<Vec<AuthorityEdge>> {
    let path: HashMap<UnitId, &[UnitId]> =
        world.units.values().map(|placed| (placed.unit.id, placed.path.as_slice())).collect();
    let mut planned = Vec::new();
    for rule in files.edges.rule.iter().filter(|rule| rule.via.is_empty()) {
        let (from, to) = (select(world, &rule.from)?, select(world, &rule.to)?);
        for sender in &from {
            for receiver in to.iter().filter(|receiver| receiver.id != sender.id) {
                let joined = match rule.within {
                    Within::Any => true,
                    Within::SameUnit => sender.unit_id == receiver.unit_id,
                    Within::ToBelowFrom => {
                        path.get(&receiver.unit_id).is_some_and(|path| path.contains(&sender.unit_id))
                    }
                };
                if joined {
                    planned.push(plan_edge(rule, sender, receiver, files.edges.valid_from())?);
                }
            }
        }
    }
    Ok(planned)
}

fn plan_edge(
    rule: &EdgeRule,
    from: &Organization,
    to: &Organization,
    at: Timestamp,
) -> Result<AuthorityEdge> {
    AuthorityEdge::create(EdgeId(new_id()), rule.kind()?, from, to, None, at)
        .with_context(|| format!("rule {} from {} to {}", rule.code, from.code, to.code))
}

/// Organisations by selector: a kind, or `org:<code>`.
fn select<'w>(world: &'w World, selectors: &[String]) -> Result<Vec<&'w Organization>> {
    let mut selected = Vec::new();
    for selector in selectors {
        match selector.strip_prefix("org:") {
            Some(code) => selected.push(world.org(code)?),
            None => {
                let kind = files::organization_kind(selector)?;
                selected.extend(world.orgs.iter().filter(|org| org.kind == kind));
            }
        }
    }
    Ok(selected)
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

fn plan_people(files: &Files, world: &World, options: &SeedOptions, now: Timestamp) -> Result<Vec<Planned>> {
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
    Ok(Planned {
        role,
        unit: place.unit.id,

        org,
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
            listed: rule.listed,
        },
    })
}

async fn store_person(
    tx: &mut Tx<'_>,
    vault: &People,
    planned: Planned,
    hash: &str,
    real_now: Timestamp,
) -> Result<SeededAccount, Error> {
    let Planned { account, role, unit, org, person } = planned;
    let id = PersonId(account.person_id);
    vault.insert(tx.conn, id, &person, org, &account.actor_ref, tx.now).await?;
    accounts::insert(tx.conn, &account.login, id, hash, real_now).await?;
    let grant = RoleGrant {
        id: GrantId(new_id()),
        person_id: id,
        role,
        unit_id: unit,
        line: account.line.clone(),
        org_id: org,
        purposes: None,
        valid_from: tx.now,
        valid_to: None,
        state: RoleGrantState::Active,
        approved_by: Vec::new(), // the first grants of a new suite: there is nobody yet to approve them
        version: 1,
    };
    grants::insert(tx.conn, &grant).await?;
    tx.emit(facts::role_granted(&grant, &account.actor_ref));
    Ok(account)
}
