//! Posts, and the workers who hold them.

use chassis::Timestamp;

use super::{GrantId, OrgId, PersonId, PostId, UnitId, WorkerId};

/// Kind of a post; the numbers are those of the proto and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PostKind {
    /// 社区服务员
    ServiceWorker = 1,
    /// 协管员: assists, never decides.
    AuxiliaryWorker = 2,
    /// 网格员: patrols and verifies, never decides.
    GridWorker = 3,
    /// 站长
    StationHead = 4,
    /// 社工
    SocialWorker = 5,
    /// 承办人 of a department or street office.
    Officer = 6,
}

impl PostKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::ServiceWorker,
        Self::AuxiliaryWorker,
        Self::GridWorker,
        Self::StationHead,
        Self::SocialWorker,
        Self::Officer,
    ];

    /// Of its number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i32 == number)
    }

    /// Of its code in the templates.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Code, as in post numbers and templates.
    pub fn code(self) -> &'static str {
        match self {
            Self::ServiceWorker => "service_worker",
            Self::AuxiliaryWorker => "auxiliary_worker",
            Self::GridWorker => "grid_worker",
            Self::StationHead => "station_head",
            Self::SocialWorker => "social_worker",
            Self::Officer => "officer",
        }
    }

    /// S-2: whether the work may carry a decision.
    pub fn may_decide(self) -> bool {
        !matches!(self, Self::AuxiliaryWorker | Self::GridWorker)
    }
}

/// State of a post: `planned → open → filled ⇄ vacant → abolished`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostState {
    /// Not in force yet.
    Planned,
    /// Never held.
    Open,
    /// Held.
    Filled,
    /// Held before.
    Vacant,
    /// Gone.
    Abolished,
}

impl PostState {
    /// Code in the database and on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Vacant => "vacant",
            Self::Abolished => "abolished",
        }
    }

    /// Of its code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Planned, Self::Open, Self::Filled, Self::Vacant, Self::Abolished]
            .into_iter()
            .find(|state| state.code() == code)
    }

    /// Whether somebody may be appointed.
    pub fn is_free(self) -> bool {
        matches!(self, Self::Open | Self::Vacant)
    }
}

/// A single-seat post.
#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    /// Id.
    pub id: PostId,
    /// Number, such as `service_worker/station:420103001001/2`.
    pub number: String,
    /// Kind.
    pub kind: PostKind,
    /// Organisation that manages it day to day (S-3).
    pub org_id: OrgId,
    /// Its unit.
    pub unit_id: UnitId,
    /// Line; `None` for all.
    pub line: Option<String>,
    /// Template it was made from; empty when made by hand.
    pub template: String,
    /// State.
    pub state: PostState,
    /// Working minutes of a full day.
    pub daily_minutes: i32,
    /// Open assignments beyond which others go first; 0: given work by hand only.
    pub max_open: i32,
}

/// A person on a post.
#[derive(Clone, Debug, PartialEq)]
pub struct Worker {
    /// Id.
    pub id: WorkerId,
    /// Person.
    pub person_id: PersonId,
    /// Pseudonym.
    pub worker_ref: String,
    /// Post held.
    pub post_id: PostId,
    /// Grant that the worker stands on; `None` when appointed by hand.
    pub grant_id: Option<GrantId>,
    /// Kind of the post.
    pub kind: PostKind,
    /// Organisation.
    pub org_id: OrgId,
    /// Its unit.
    pub unit_id: UnitId,
    /// Line; `None` for all.
    pub line: Option<String>,
    /// Unit subtree served.
    pub area_unit_id: UnitId,
    /// Skill codes.
    pub skills: Vec<String>,
    /// Accepts at once, by an agreed rule.
    pub auto_accept: bool,
    /// Working minutes of a full day.
    pub daily_minutes: i32,
    /// Open assignments beyond which others go first; 0: given work by hand only.
    pub max_open: i32,
    /// Shift templates that apply: `community`, `street`, `department`, or none.
    pub roster: String,
    /// Whether the appointment is in force.
    pub active: bool,
    /// Assignments offered, accepted or on site.
    pub open_count: i32,
    /// Sum of their weights in minutes.
    pub open_minutes: i64,
    /// When something was last offered.
    pub last_offered_at: Option<Timestamp>,
}
