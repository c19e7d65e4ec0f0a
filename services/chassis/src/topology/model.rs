//! Units, organisations and edges as every service knows them, and their form on the wire.

use std::sync::Arc;

use proto::identity::v1 as wire;
pub use proto::identity::v1::{EdgeKind, OrganizationKind, UnitKind, UnitState};
use uuid::Uuid;

use crate::{
    clock::{self, Timestamp},
    error::{Error, Result},
};

/// A place in the tree city → district → street → community → courtyard → doorway.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Id.
    pub id: Uuid,
    /// Code in the code system.
    pub code: String,
    /// Code list, such as `statistics`.
    pub code_system: String,
    /// Year of the code list.
    pub code_year: i32,
    /// Kind.
    pub kind: UnitKind,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Parent; `None` at the root.
    pub parent_id: Option<Uuid>,
    /// State.
    pub state: UnitState,
    /// In force from here; `None` since ever.
    pub valid_from: Option<Timestamp>,
    /// In force until before here; `None` without end.
    pub valid_to: Option<Timestamp>,
    /// Version; greater is newer.
    pub version: i64,
    /// The unit that it was merged into.
    pub successor_id: Option<Uuid>,
    /// Whether this copy saw it come under another parent; not on the wire. See [`Topology::has_moved`](super::Topology::has_moved).
    pub moved: bool,
    /// Ids from the root to this unit; filled by the topology.
    pub path: Arc<[Uuid]>,
}

/// Anything that holds tasks, edges or responsibilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    /// Id.
    pub id: Uuid,
    /// Code.
    pub code: String,
    /// Kind.
    pub kind: OrganizationKind,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Unit it sits at.
    pub unit_id: Uuid,
    /// Line of work, if it has one.
    pub line: Option<String>,
    /// In force from here; `None` since ever.
    pub valid_from: Option<Timestamp>,
    /// In force until before here; `None` without end.
    pub valid_to: Option<Timestamp>,
    /// Version; greater is newer.
    pub version: i64,
}

/// Who leads, coordinates, guides, contracts or partners whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Id.
    pub id: Uuid,
    /// From this organisation.
    pub from_org_id: Uuid,
    /// To this one.
    pub to_org_id: Uuid,
    /// Kind; it fixes the dispatch mode.
    pub kind: EdgeKind,
    /// Only for this line; `None` for all.
    pub line: Option<String>,
    /// In force from here; `None` since ever.
    pub valid_from: Option<Timestamp>,
    /// In force until before here; `None` without end.
    pub valid_to: Option<Timestamp>,
    /// Version; greater is newer.
    pub version: i64,
}

macro_rules! in_force {
    ($($kind:ty),*) => {$(
        impl $kind {
            /// Whether it is in force at an instant.
            pub fn in_force(&self, at: Timestamp) -> bool {
                self.valid_from.is_none_or(|from| from <= at) && self.valid_to.is_none_or(|to| at < to)
            }
        }
    )*};
}
in_force!(Unit, Organization, Edge);

impl Unit {
    /// Whether another one of the same id stands in its place: a newer version, or what tells of a merger that copies from before
    /// did not keep.
    pub(super) fn gives_way_to(&self, told: &Self) -> bool {
        let learns = self.successor_id.is_none() && told.successor_id.is_some();
        self.version < told.version || (self.version == told.version && learns)
    }
}

impl TryFrom<wire::Unit> for Unit {
    type Error = Error;

    fn try_from(unit: wire::Unit) -> Result<Self> {
        let id = uuid("unit_id", &unit.unit_id)?;
        Ok(Self {
            id,
            kind: unit.kind(),
            state: unit.state(),
            code: unit.code,
            code_system: unit.code_system,
            code_year: unit.code_year,
            name_zh: unit.name_zh,
            name_en: unit.name_en,
            parent_id: optional_uuid("parent_id", &unit.parent_id)?,
            valid_from: instant(unit.valid_from),
            valid_to: instant(unit.valid_to),
            version: unit.version,
            successor_id: optional_uuid("successor_id", &unit.successor_id)?,
            moved: false,
            path: Arc::from([id]),
        })
    }
}

impl From<&Unit> for wire::Unit {
    fn from(unit: &Unit) -> Self {
        Self {
            unit_id: unit.id.to_string(),
            code: unit.code.clone(),
            code_system: unit.code_system.clone(),
            code_year: unit.code_year,
            kind: unit.kind.into(),
            name_zh: unit.name_zh.clone(),
            name_en: unit.name_en.clone(),
            parent_id: unit.parent_id.map(|id| id.to_string()).unwrap_or_default(),
            state: unit.state.into(),
            valid_from: unit.valid_from.map(clock::to_proto),
            valid_to: unit.valid_to.map(clock::to_proto),
            version: unit.version,
            successor_id: unit.successor_id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::Organization> for Organization {
    type Error = Error;

    fn try_from(org: wire::Organization) -> Result<Self> {
        Ok(Self {
            id: uuid("org_id", &org.org_id)?,
            kind: org.kind(),
            code: org.code,
            name_zh: org.name_zh,
            name_en: org.name_en,
            unit_id: uuid("unit_id", &org.unit_id)?,
            line: text(org.line),
            valid_from: instant(org.valid_from),
            valid_to: instant(org.valid_to),
            version: org.version,
        })
    }
}

impl From<&Organization> for wire::Organization {
    fn from(org: &Organization) -> Self {
        Self {
            org_id: org.id.to_string(),
            code: org.code.clone(),
            kind: org.kind.into(),
            name_zh: org.name_zh.clone(),
            name_en: org.name_en.clone(),
            unit_id: org.unit_id.to_string(),
            line: org.line.clone().unwrap_or_default(),
            valid_from: org.valid_from.map(clock::to_proto),
            valid_to: org.valid_to.map(clock::to_proto),
            version: org.version,
        }
    }
}

impl TryFrom<wire::AuthorityEdge> for Edge {
    type Error = Error;

    fn try_from(edge: wire::AuthorityEdge) -> Result<Self> {
        Ok(Self {
            id: uuid("edge_id", &edge.edge_id)?,
            kind: edge.kind(),
            from_org_id: uuid("from_org_id", &edge.from_org_id)?,
            to_org_id: uuid("to_org_id", &edge.to_org_id)?,
            line: text(edge.line),
            valid_from: instant(edge.valid_from),
            valid_to: instant(edge.valid_to),
            version: edge.version,
        })
    }
}

impl From<&Edge> for wire::AuthorityEdge {
    fn from(edge: &Edge) -> Self {
        Self {
            edge_id: edge.id.to_string(),
            from_org_id: edge.from_org_id.to_string(),
            to_org_id: edge.to_org_id.to_string(),
            kind: edge.kind.into(),
            line: edge.line.clone().unwrap_or_default(),
            valid_from: edge.valid_from.map(clock::to_proto),
            valid_to: edge.valid_to.map(clock::to_proto),
            version: edge.version,
        }
    }
}

pub(super) fn uuid(field: &str, text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| Error::invalid(field, "is not a UUID"))
}

fn optional_uuid(field: &str, text: &str) -> Result<Option<Uuid>> {
    if text.is_empty() { Ok(None) } else { uuid(field, text).map(Some) }
}

fn text(text: String) -> Option<String> {
    Some(text).filter(|t| !t.is_empty())
}

fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.as_ref().and_then(clock::from_proto)
}
