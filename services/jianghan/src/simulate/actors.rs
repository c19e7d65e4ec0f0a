//! The people of a simulation: seeded accounts, found by the organisation or the role they act for.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result, bail};
use proto::identity::v1::{ListOrganizationsRequest, ListUnitsRequest, Organization, Unit};

use crate::suite::{AccountsFile, Session, Suite};

/// Sessions by what they may do.
pub struct Actors {
    by_role: HashMap<String, Vec<Arc<Session>>>,
    by_org: HashMap<String, Vec<Arc<Session>>>,
    by_ref: HashMap<String, Arc<Session>>,
    /// Organisation by id.
    pub orgs: HashMap<String, Organization>,
    /// Communities, and units without children in the tree, of the streets whose people can sign in.
    pub places: Vec<Unit>,
    parents: HashMap<String, String>,
    unit_codes: HashMap<String, String>,
}

/// Roles that sign, object and decline for an organisation, most fitting first.
const LEADERS: [&str; 6] =
    ["dept_leader", "street_leader", "station_head", "committee_member", "org_manager", "street_dispatcher"];
/// Roles that handle a case for an organisation, most fitting first.
const HANDLERS: [&str; 8] = [
    "dept_officer",
    "service_worker",
    "dept_leader",
    "street_leader",
    "station_head",
    "committee_member",
    "org_manager",
    "street_dispatcher",
];

impl Actors {
    /// Reads units and organisations and sorts the accounts. No one is signed in yet.
    pub async fn load(suite: &Suite, file: &AccountsFile) -> Result<Self> {
        let sessions: Vec<_> =
            file.accounts.iter().map(|account| Session::new(suite, account.clone())).collect();
        let reader = sessions
            .iter()
            .find(|session| session.account.role == "district_dispatcher")
            .context("the accounts file holds no district_dispatcher")?;
        let units = units(suite, reader).await?;
        let orgs = organizations(suite, reader).await?;
        let org_ids: HashMap<_, _> = orgs.iter().map(|org| (org.code.clone(), org.org_id.clone())).collect();

        let mut by_role: HashMap<String, Vec<_>> = HashMap::new();
        let mut by_org: HashMap<String, Vec<_>> = HashMap::new();
        let mut by_ref = HashMap::new();
        for session in sessions {
            by_role.entry(session.account.role.clone()).or_default().push(session.clone());
            by_ref.entry(session.account.actor_ref.clone()).or_insert_with(|| session.clone());
            if let Some(org) = org_ids.get(&session.account.org_code) {
                by_org.entry(org.clone()).or_default().push(session);
            }
        }
        let parents: HashMap<_, _> =
            units.iter().map(|unit| (unit.unit_id.clone(), unit.parent_id.clone())).collect();
        let unit_codes: HashMap<_, _> =
            units.iter().map(|unit| (unit.unit_id.clone(), unit.code.clone())).collect();
        let has_children: std::collections::HashSet<_> = parents.values().cloned().collect();
        let covered: std::collections::HashSet<_> =
            by_role.get("street_leader").into_iter().flatten().map(|s| s.account.unit_code.clone()).collect();
        let within_reach = |unit: &Unit| {
            let mut at = Some(unit.unit_id.as_str());
            while let Some(id) = at {
                if unit_codes.get(id).is_some_and(|code: &String| covered.contains(code)) {
                    return true;
                }
                at = parents.get(id).map(String::as_str).filter(|parent: &&str| !parent.is_empty());
            }
            false
        };
        let mut places: Vec<_> = units
            .into_iter()
            .filter(|unit| within_reach(unit))
            .filter(|unit| {
                unit.kind() == proto::identity::v1::UnitKind::Community
                    || !has_children.contains(&unit.unit_id)
            })
            .filter(|unit| unit.kind() >= proto::identity::v1::UnitKind::Community)
            .collect();
        places.sort_by(|a, b| a.code.cmp(&b.code));
        if places.is_empty() {
            bail!("the suite holds no communities; is it seeded?");
        }
        Ok(Self {
            by_role,
            by_org,
            by_ref,
            orgs: orgs.into_iter().map(|org| (org.org_id.clone(), org)).collect(),
            places,
            parents,
            unit_codes,
        })
    }

    /// The `n`-th account of a role (modulo their number).
    pub fn role(&self, role: &str, n: u64) -> Result<&Arc<Session>> {
        let all = self.by_role.get(role).filter(|all| !all.is_empty());
        let all = all.with_context(|| format!("the accounts file holds no {role}"))?;
        Ok(&all[usize::try_from(n % all.len() as u64)?])
    }

    /// At most the first `limit` residents take part.
    pub fn resident(&self, n: u64, limit: u64) -> Result<&Arc<Session>> {
        self.role("resident", n % limit)
    }

    /// Someone of a role whose grant covers the place, the nearest first; else any of the role.
    pub fn role_at(&self, role: &str, unit_id: &str, n: u64) -> Result<&Arc<Session>> {
        let mut at = Some(unit_id);
        while let Some(unit) = at {
            if let Some(code) = self.unit_codes.get(unit) {
                let here: Vec<_> = self
                    .by_role
                    .get(role)
                    .into_iter()
                    .flatten()
                    .filter(|session| &session.account.unit_code == code)
                    .collect();
                if !here.is_empty() {
                    return Ok(here[usize::try_from(n % here.len() as u64)?]);
                }
            }
            at = self.parents.get(unit).map(String::as_str).filter(|parent| !parent.is_empty());
        }
        bail!("no {role} covers the place")
    }

    /// Who signs for an organisation.
    pub fn leader(&self, org_id: &str) -> Result<&Arc<Session>> {
        self.of(org_id, &LEADERS)
    }

    /// Who handles for an organisation.
    pub fn handler(&self, org_id: &str) -> Result<&Arc<Session>> {
        self.of(org_id, &HANDLERS)
    }

    /// Who may object, suspend and extend for an organisation.
    pub fn boss(&self, org_id: &str) -> Option<&Arc<Session>> {
        self.of(org_id, &["dept_leader", "street_leader"]).ok()
    }

    /// Whoever signs in by a name.
    pub fn login(&self, login: &str) -> Option<&Arc<Session>> {
        self.by_role.values().flatten().find(|session| session.account.login == login)
    }

    /// Code of a unit.
    pub fn unit_code(&self, unit_id: &str) -> Option<&str> {
        self.unit_codes.get(unit_id).map(String::as_str)
    }

    /// Id of the unit with a code.
    pub fn unit_id(&self, code: &str) -> Option<&str> {
        self.unit_codes.iter().find(|(_, has)| *has == code).map(|(id, _)| id.as_str())
    }

    /// Whose pseudonym it is.
    pub fn worker(&self, actor_ref: &str) -> Option<&Arc<Session>> {
        self.by_ref.get(actor_ref)
    }

    fn of(&self, org_id: &str, roles: &[&str]) -> Result<&Arc<Session>> {
        let members = self.by_org.get(org_id);
        roles
            .iter()
            .find_map(|role| members?.iter().find(|session| session.account.role == *role))
            .with_context(|| {
                let code = self.orgs.get(org_id).map_or(org_id, |org| org.code.as_str());
                format!("no account acts for the organisation {code}")
            })
    }
}

/// Every unit in force.
pub async fn units(suite: &Suite, reader: &Session) -> Result<Vec<Unit>> {
    list(suite, reader, false).await
}

/// Every unit, those that have ended included: cases stay where they were.
pub async fn units_ever(suite: &Suite, reader: &Session) -> Result<Vec<Unit>> {
    list(suite, reader, true).await
}

async fn list(suite: &Suite, reader: &Session, include_ended: bool) -> Result<Vec<Unit>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListUnitsRequest { page_size: 200, page_token, include_ended, ..Default::default() };
        let request = reader.request(request).await?;
        let page = suite.topology().list_units(request).await?.into_inner();
        all.extend(page.units);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// Every organisation in force.
pub async fn organizations(suite: &Suite, reader: &Session) -> Result<Vec<Organization>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = reader
            .request(ListOrganizationsRequest { page_size: 200, page_token, ..Default::default() })
            .await?;
        let page = suite.topology().list_organizations(request).await?.into_inner();
        all.extend(page.organizations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}
