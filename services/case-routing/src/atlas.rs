//! What decisions are made with: the routing table and the house rules, built from the lists in the database and the
//! topology, replaced whole when either changes, and given fresh counts of open work now and then. A command holds one
//! world for its whole life.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use calendar::{Limit, TimeUnit};
use chassis::{
    Clock, Result, Timestamp,
    db::Db,
    topology::{self, Organization, OrganizationKind, Shared, Topology, Unit},
};
use chrono::{NaiveDate, NaiveTime};
use diesel_async::AsyncPgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    calendars::InForce,
    domain::{
        Citation, Edge, EdgeKind, ItemRef, Load, OrgId, OrgKind, OrgNode, ResponsibilityEntry, RoutingTable,
        Rules, Schedule, TableParts, UnitId, UnitKind, UnitNode,
    },
    editions::Editions,
    listing::{Entries, ListEntry},
    process, seed,
    store::{
        self,
        catalogue::{self, Lists},
        notes,
    },
};

/// One state of the lists and the topology.
#[derive(Debug)]
pub struct World {
    /// Decides where cases go.
    pub routes: RoutingTable,
    /// Limits and counts.
    pub rules: Arc<Rules>,
    /// The topology it was built from.
    pub topology: Arc<Topology>,
    lists: Arc<Lists>,
    load: Arc<Load>,
    /// The calendar it was built with, its notices, and the orders about working hours.
    pub in_force: Arc<InForce>,
    /// Tells one tree of units from another.
    shape: u64,
}

impl World {
    /// Chinese and English name of an item; empty for none.
    pub fn item_names(&self, code: &str) -> (&str, &str) {
        self.lists.items.newest(code).map_or(("", ""), |item| (&item.name_zh, &item.name_en))
    }

    /// Chinese and English name of a case's item, in the version that the case was opened with; empty for none.
    pub fn names_of(&self, item: Option<&ItemRef>) -> (&str, &str) {
        let Some(item) = item else { return ("", "") };
        let known = self.lists.items.version(&item.code, item.version);
        known.map_or_else(
            || self.item_names(&item.code),
            |item| (item.name_zh.as_str(), item.name_en.as_str()),
        )
    }

    fn build(
        lists: Arc<Lists>,
        topology: Arc<Topology>,
        in_force: Arc<InForce>,
        settings: &Settings,
    ) -> Self {
        let orgs: Vec<Arc<Organization>> = topology.orgs().cloned().collect();
        let by_code: HashMap<&str, OrgId> =
            orgs.iter().map(|org| (org.code.as_str(), OrgId(org.id))).collect();
        let nodes = orgs.iter().filter_map(|org| {
            Some(OrgNode {
                id: OrgId(org.id),
                kind: org_kind(org.kind)?,
                unit: UnitId(org.unit_id),
                line: org.line.clone(),
                valid_from: org.valid_from.unwrap_or(Timestamp::MIN_UTC),
                valid_to: org.valid_to,
            })
        });
        let edges = orgs.iter().flat_map(|org| topology.edges_to(org.id)).filter_map(|edge| {
            Some(Edge {
                from: OrgId(edge.from_org_id),
                to: OrgId(edge.to_org_id),
                kind: edge_kind(edge.kind)?,
                line: edge.line.clone(),
                valid_from: edge.valid_from.unwrap_or(Timestamp::MIN_UTC),
                valid_to: edge.valid_to,
            })
        });
        let units = topology.units().filter_map(|unit| {
            let path: Vec<UnitId> = topology.path(unit.id)?.iter().copied().map(UnitId).collect();
            Some(UnitNode { id: UnitId(unit.id), kind: unit_kind(unit.kind)?, path: path.into() })
        });
        let merged = topology.units().filter_map(|unit| Some((UnitId(unit.id), UnitId(unit.successor_id?))));
        let mut verifiers: Vec<&Arc<Organization>> =
            orgs.iter().filter(|org| org.kind == OrganizationKind::CallbackCentre).collect();
        verifiers.sort_by(|a, b| a.code.cmp(&b.code));
        let hours = in_force.hours(seed::usual_hours(), &topology);
        let shape = shape(&topology);
        let parts = TableParts {
            topology_version: topology.version(),
            items: lists.items.all().map(|edition| edition.service_item(&by_code)).collect(),
            units: units.collect(),
            merged: merged.collect(),
            orgs: nodes.collect(),
            edges: edges.collect(),
            fallback: last_resort(&lists, &topology).map(|org| OrgId(org.id)),
            verifiers: verifiers.iter().map(|org| OrgId(org.id)).collect(),
            joint_body: by_code.get(settings.joint_body.as_str()).copied(),
            hours: Some((in_force.calendar.clone(), hours.clone())),
            ..TableParts::default()
        };
        let bare = RoutingTable::new(parts);
        let listed = lists.entries.iter().map(|(version, entries)| {
            (*version, bare.index(lists.cited(*version), responsibilities(entries, &by_code)))
        });
        let schedule = Schedule::new(lists.periods.clone(), listed.collect());
        let sla: BTreeMap<_, _> =
            lists.profiles.iter().map(|profile| (profile.code.clone(), profile.limits())).collect();
        let defaults = Rules::default();
        let rules = Rules {
            calendar: in_force.calendar.clone(),
            standard: sla.get("standard").cloned().unwrap_or(defaults.standard.clone()),
            sla,
            suspension_causes: seed::suspension_days(),
            supervision_answer: seed::supervision_answer(),
            warn_percent: seed::warn_percent(),
            mediation_talks: Limit::new(TimeUnit::CalDay, settings.mediation_days.max(1)),
            mediation_follow_up: Limit::new(TimeUnit::CalDay, settings.mediation_follow_up_days.max(1)),
            ..defaults
        };
        let rules = Rules { version: process::rules_version(&lists.profiles, &rules), ..rules };
        let rules = rules.with_hours(&hours);
        Self {
            routes: bare.with_schedule(schedule),
            rules: Arc::new(rules),
            topology,
            lists,
            load: Arc::default(),
            in_force,
            shape,
        }
    }

    /// The versions of the catalogue's items.
    pub fn items(&self) -> &Editions {
        &self.lists.items
    }

    /// The version of an item that new cases are of at an instant.
    pub fn item(&self, code: &str, at: Timestamp) -> Option<&seed::Item> {
        self.lists.items.at(code, at)
    }

    /// Whether there are limits of that name.
    pub fn has_profile(&self, code: &str) -> bool {
        self.lists.profiles.iter().any(|profile| profile.code == code)
    }

    /// The unit in which what comes in by a unit is: itself, or what it was merged into ([`RoutingTable::open_at`]).
    pub fn open_unit(&self, unit: uuid::Uuid) -> uuid::Uuid {
        self.routes.open_at(UnitId(unit)).0
    }

    /// The path of that, root → leaf: by it whoever is in charge there is found, and reaches what comes in.
    pub fn open_path(&self, unit: uuid::Uuid) -> Option<Arc<[uuid::Uuid]>> {
        self.topology.path(self.open_unit(unit))
    }

    /// The unit that the lists are of: where the organisation of last resort sits that they name; else the only district that
    /// there is, so that they can be changed there.
    pub fn district(&self) -> Option<Arc<[uuid::Uuid]>> {
        let named = self.topology.org_by_code(&self.lists.fallback_org);
        self.topology.path(named.map(|org| org.unit_id).or_else(|| only_district(&self.topology))?)
    }

    /// Whether units are known, but not the organisation of last resort that the lists name.
    fn lacks_last_resort(&self) -> bool {
        !self.topology.is_empty() && self.topology.org_by_code(&self.lists.fallback_org).is_none()
    }

    /// The version of the list that decides about a place (root → leaf) at an instant; ended ones too.
    pub fn list_version(&self, place: &[UnitId], at: Timestamp) -> Option<i32> {
        self.routes.list_version(place, at)
    }

    /// A rule of the version that decides about a place (root → leaf) at an instant.
    pub fn listed(&self, place: &[UnitId], rule_id: &str, at: Timestamp) -> Option<&ListEntry> {
        self.lists.entries.get(&self.list_version(place, at)?)?.get(rule_id)
    }

    /// A version of the list as decisions cite it.
    pub fn cited(&self, list_version: i32) -> Citation {
        self.lists.cited(list_version)
    }

    /// The table with one version of the list in force everywhere and always, and without loads.
    pub fn under(&self, list_version: i32, entries: &Entries) -> RoutingTable {
        self.with_list(self.lists.cited(list_version), entries)
    }

    /// The same with a version as a decision cites it: with which catalogue that was made, it tells itself.
    pub fn under_cited(&self, cited: &str, entries: &Entries) -> RoutingTable {
        self.with_list(cited.into(), entries)
    }

    fn with_list(&self, cited: Citation, entries: &Entries) -> RoutingTable {
        let by_code: HashMap<&str, OrgId> =
            self.topology.orgs().map(|org| (org.code.as_str(), OrgId(org.id))).collect();
        let entries = responsibilities(entries, &by_code);
        let list = self.routes.index(cited, entries);
        self.routes.under(list).with_load(Arc::default())
    }

    /// The same world with other loads; shares everything else.
    fn with_load(&self, load: Arc<Load>) -> Self {
        Self {
            routes: self.routes.with_load(load.clone()),
            rules: self.rules.clone(),
            topology: self.topology.clone(),
            lists: self.lists.clone(),
            load,
            in_force: self.in_force.clone(),
            shape: self.shape,
        }
    }
}

/// The organisation of last resort: the one that the lists name. Where there is none of that code, as with shipped lists in another
/// district, the government of the only district that there is.
fn last_resort(lists: &Lists, topology: &Topology) -> Option<Arc<Organization>> {
    topology.org_by_code(&lists.fallback_org).or_else(|| {
        let mut there = topology.orgs_at(only_district(topology)?).iter();
        there.find(|org| org.kind == OrganizationKind::Government && org.valid_to.is_none()).cloned()
    })
}

/// The district that is in force, if it is the only one.
fn only_district(topology: &Topology) -> Option<uuid::Uuid> {
    let in_force = |unit: &&Arc<Unit>| {
        unit.kind == topology::UnitKind::District && unit.state == topology::UnitState::Active
    };
    let mut districts = topology.units().filter(in_force);
    let district = districts.next()?;
    districts.next().is_none().then_some(district.id)
}

/// The entries as the domain has them; those that name an organisation which the topology does not know are left out.
fn responsibilities(entries: &Entries, by_code: &HashMap<&str, OrgId>) -> Vec<ResponsibilityEntry> {
    let day = |day: NaiveDate| calendar::instant(day, NaiveTime::MIN);
    let known = entries
        .values()
        .filter_map(|listed| listed.entry.responsibility(by_code, day(listed.from), listed.to.map(day)));
    known.collect()
}

/// What a deployment sets of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Code of the organisation that rules where nobody stands above the parties; may be empty.
    pub joint_body: String,
    /// Calendar days in which the parties of a mediation come to an agreement.
    pub mediation_days: u16,
    /// Calendar days after which the mediator asks after an agreement without a day.
    pub mediation_follow_up_days: u16,
}

/// Keeps the present [`World`].
#[derive(Debug)]
pub struct Atlas {
    topology: Arc<Shared>,
    clock: Clock,
    lists: ArcSwap<Lists>,
    load: ArcSwap<Load>,
    in_force: ArcSwap<InForce>,
    world: ArcSwap<World>,
    building: Mutex<()>,
    settings: Settings,
}

impl Atlas {
    /// Fills the lists if there are none, and builds the first world.
    ///
    /// # Errors
    /// From the database.
    pub async fn open(db: &Db, topology: Arc<Shared>, clock: Clock, settings: Settings) -> Result<Arc<Self>> {
        db.transaction(async |tx: &mut chassis::db::Tx<'_>| catalogue::fill(tx.conn, tx.now).await).await?;
        let mut conn = db.conn().await?;
        let lists = Arc::new(catalogue::load(&mut conn, clock.now()).await?);
        let in_force = Arc::new(in_force(&mut conn).await?);
        let world = World::build(lists.clone(), topology.load(), in_force.clone(), &settings);
        Ok(Arc::new(Self {
            topology,
            clock,
            lists: ArcSwap::new(lists),
            load: ArcSwap::default(),
            in_force: ArcSwap::new(in_force),
            world: ArcSwap::from_pointee(world),
            building: Mutex::new(()),
            settings,
        }))
    }

    /// The world as it is now; built anew first if the topology or the lists have changed since.
    pub fn world(&self) -> Arc<World> {
        let world = self.world.load_full();
        if self.is_current(&world) {
            return world;
        }
        // One builds, the others wait: a table takes some milliseconds.
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let world = self.world.load_full();
        if self.is_current(&world) {
            return world;
        }
        let (lists, topology) = (self.lists.load_full(), self.topology.load());
        let in_force = self.in_force.load_full();
        // New counts alone leave the table as it is.
        let same = Arc::ptr_eq(&world.topology, &topology)
            && Arc::ptr_eq(&world.lists, &lists)
            && Arc::ptr_eq(&world.in_force, &in_force);
        let world =
            if same { world } else { Arc::new(World::build(lists, topology, in_force, &self.settings)) };
        let world = Arc::new(world.with_load(self.load.load_full()));
        self.world.store(world.clone());
        world
    }

    /// The version that clocks are counted with now, wherever they run.
    pub fn calendar_version(&self) -> u32 {
        let rules = &self.world().rules;
        rules.calendar.version_with(&rules.profile)
    }

    /// What everything that is open follows: the version of the calendar, and what tells one tree of units from another.
    pub fn to_follow(&self) -> (u32, u64) {
        (self.calendar_version(), self.world().shape)
    }

    /// Reads the lists, the notices, the orders about working hours and the moves of units to others again if there are newer
    /// ones.
    ///
    /// # Errors
    /// From the database.
    pub async fn refresh(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        if catalogue::revision(&mut conn).await? != self.lists.load().revision {
            self.lists.store(Arc::new(catalogue::load(&mut conn, self.clock.now()).await?));
        }
        let known = self.in_force.load_full();
        let numbers = (known.newest(), known.newest_order(), known.newest_move());
        if store::calendar::newest(&mut conn).await? != numbers {
            self.in_force.store(Arc::new(in_force(&mut conn).await?));
        }
        Ok(())
    }

    /// Counts the open work of every organisation now and then, until `stop`. Commands only read the last count: a tie is
    /// broken by what was so some seconds ago. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn keep_counting(
        self: Arc<Self>,
        db: Db,
        pause: Duration,
        stop: CancellationToken,
    ) -> Result<()> {
        let mut rounds = 0_u32;
        loop {
            if let Err(error) = self.count(&db).await {
                tracing::warn!(error = %error.chain(), "open work could not be counted");
            }
            rounds = self.tell_of_last_resort(rounds);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells the operator once when the lists name an organisation of last resort that there is not. Not in the first of such `rounds`:
    /// at the first start organisations come after their units.
    fn tell_of_last_resort(&self, rounds: u32) -> u32 {
        let world = self.world();
        if !world.lacks_last_resort() {
            return 0;
        }
        if rounds == 1 {
            let instead = last_resort(&world.lists, &world.topology);
            let instead = instead.map_or_else(|| "nobody".to_owned(), |org| org.code.clone());
            tracing::error!(
                named = %world.lists.fallback_org,
                %instead,
                "the responsibility list ([fallback] in seed/responsibility.toml) names an organisation of last resort that there is not"
            );
        }
        rounds.saturating_add(1)
    }

    async fn count(&self, db: &Db) -> Result<()> {
        let orgs: Vec<OrgId> = self.topology.load().orgs().map(|org| OrgId(org.id)).collect();
        let mut conn = db.conn().await?;
        let load = notes::open_tasks(&mut conn, &orgs).await?;
        if load != **self.load.load() {
            self.load.store(Arc::new(load));
        }
        Ok(())
    }

    fn is_current(&self, world: &World) -> bool {
        Arc::ptr_eq(&world.topology, &self.topology.load())
            && Arc::ptr_eq(&world.lists, &self.lists.load_full())
            && Arc::ptr_eq(&world.load, &self.load.load_full())
            && Arc::ptr_eq(&world.in_force, &self.in_force.load_full())
    }
}

/// Where the units lie and what became of them, as one number, in whatever order they come.
fn shape(topology: &Topology) -> u64 {
    let of_unit = |unit: &Arc<Unit>| {
        let mut hasher = DefaultHasher::new();
        (unit.id, unit.parent_id, unit.successor_id).hash(&mut hasher);
        hasher.finish()
    };
    topology.units().map(of_unit).fold(0, u64::wrapping_add)
}

/// Every notice, every order about working hours and every move of a unit to others.
async fn in_force(conn: &mut AsyncPgConnection) -> Result<InForce> {
    let imported = store::calendar::load(conn).await?;
    let ordered = store::hours::load(conn).await?;
    let in_force = InForce::of(imported, ordered);
    for passed_over in in_force.passed_over() {
        let (year, version) = (passed_over.notice.year.title_year, passed_over.notice.version);
        let shipped = in_force.shipped_version(year);
        tracing::warn!(year, version, shipped, "an imported notice is passed over: the release's is newer");
    }
    Ok(in_force.with_moves(store::hours::moves(conn).await?))
}

/// A kind as the domain has it.
pub fn org_kind(kind: OrganizationKind) -> Option<OrgKind> {
    Some(match kind {
        OrganizationKind::Unspecified => return None,
        OrganizationKind::Government => OrgKind::Government,
        OrganizationKind::Department => OrgKind::Department,
        OrganizationKind::StreetOffice => OrgKind::StreetOffice,
        OrganizationKind::ServiceStation => OrgKind::ServiceStation,
        OrganizationKind::Committee => OrgKind::Committee,
        OrganizationKind::PartyOrg => OrgKind::PartyOrg,
        OrganizationKind::Utility => OrgKind::Utility,
        OrganizationKind::SocialOrg => OrgKind::SocialOrg,
        OrganizationKind::SelfGovGroup => OrgKind::SelfGovGroup,
        OrganizationKind::Enterprise => OrgKind::Enterprise,
        OrganizationKind::PropertyCompany => OrgKind::PropertyCompany,
        OrganizationKind::CallbackCentre => OrgKind::CallbackCentre,
    })
}

fn unit_kind(kind: topology::UnitKind) -> Option<UnitKind> {
    Some(match kind {
        topology::UnitKind::Unspecified => return None,
        topology::UnitKind::City => UnitKind::City,
        topology::UnitKind::District => UnitKind::District,
        topology::UnitKind::Street => UnitKind::Street,
        topology::UnitKind::Community => UnitKind::Community,
        topology::UnitKind::Courtyard => UnitKind::Courtyard,
        topology::UnitKind::Doorway => UnitKind::Doorway,
    })
}

fn edge_kind(kind: topology::EdgeKind) -> Option<EdgeKind> {
    Some(match kind {
        topology::EdgeKind::Unspecified => return None,
        topology::EdgeKind::Leads => EdgeKind::Leads,
        topology::EdgeKind::Coordinates => EdgeKind::Coordinates,
        topology::EdgeKind::Guides => EdgeKind::Guides,
        topology::EdgeKind::Contracts => EdgeKind::Contracts,
        topology::EdgeKind::Partners => EdgeKind::Partners,
    })
}
