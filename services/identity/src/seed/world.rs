//! The units, organisations and edges of the demonstration, planned in memory from the files and then written.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use chassis::{Error, Timestamp, clock::new_id, db::Tx};

use super::files::{self, EdgeRule, Files, Within};
use crate::{
    domain::{
        EdgeId, OrgId, UnitId,
        edge::AuthorityEdge,
        facts,
        organization::{Organization, OrganizationKind},
        unit::{NewUnit, Unit, UnitKind},
    },
    store::{organizations, units},
};

/// Units and organisations in hand, with what their rows do not hold.
pub struct World {
    /// By code.
    pub units: HashMap<String, Placed>,
    /// Codes, parents first.
    pub order: Vec<String>,
    /// Organisations.
    pub orgs: Vec<Organization>,
    org_by_code: HashMap<String, usize>,
}

/// A unit with what its row does not hold.
pub struct Placed {
    /// The unit.
    pub unit: Unit,
    class: String,
    /// Root → unit.
    pub path: Vec<UnitId>,
}

impl World {
    /// Plans units and organisations.
    ///
    /// # Errors
    /// When the files contradict themselves.
    pub fn plan(files: &Files) -> Result<Self> {
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

    /// An organisation by code.
    ///
    /// # Errors
    /// When there is none.
    pub fn org(&self, code: &str) -> Result<&Organization> {
        let at = self.org_by_code.get(code).with_context(|| format!("there is no organisation {code}"))?;
        Ok(&self.orgs[*at])
    }

    /// Units of a kind, in the order of the file.
    pub fn of_kind(&self, kind: UnitKind) -> Vec<&Placed> {
        self.order.iter().filter_map(|code| self.units.get(code)).filter(|p| p.unit.kind == kind).collect()
    }

    /// Writes and tells units and organisations.
    ///
    /// # Errors
    /// Database errors.
    pub async fn store(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
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
///
/// # Errors
/// When a rule does so, or names what does not exist.
pub fn plan_edges(files: &Files, world: &World) -> Result<Vec<AuthorityEdge>> {
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
