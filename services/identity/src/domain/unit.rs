//! The unit tree: city → district → street → community → courtyard → doorway, with effective dates and lineage.
//! A code never tells the parent; the tree does (domain §2.1.2). Never two parents at once, never a cycle (I-1).

use chassis::{Error, Result, Timestamp};
pub use proto::identity::v1::{UnitKind, UnitState};

use super::{UnitId, text};

/// Kind in errors.
pub const KIND: &str = "unit";

/// A place in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its id, for ever.
    pub id: UnitId,
    /// Code in its list; unique among the units in force.
    pub code: String,
    /// Code list, such as `statistics` or `project`.
    pub code_system: String,
    /// Year of the code list.
    pub code_year: i32,
    /// Level.
    pub kind: UnitKind,
    /// Chinese name.
    pub name_zh: String,
    /// English name or pinyin; may be empty.
    pub name_en: String,
    /// The unit above; none for the root.
    pub parent_id: Option<UnitId>,
    /// State.
    pub state: UnitState,
    /// In force from (domain time).
    pub valid_from: Timestamp,
    /// In force until.
    pub valid_to: Option<Timestamp>,
    /// Grows with every change.
    pub version: i64,
    /// The unit that it was merged into.
    pub successor_id: Option<UnitId>,
}

/// What a new unit shall be, checked for form.
#[derive(Clone, Debug)]
pub struct NewUnit {
    /// Code in its list.
    pub code: String,
    /// Code list.
    pub code_system: String,
    /// Year of the code list.
    pub code_year: i32,
    /// Level.
    pub kind: UnitKind,
    /// Chinese name.
    pub name_zh: String,
    /// English name; may be empty.
    pub name_en: String,
}

impl NewUnit {
    /// Checks the form of the fields of a request's `unit`, whose path in the request is `at`.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub fn new(at: &str, from: &proto::identity::v1::Unit) -> Result<Self> {
        let kind = match UnitKind::try_from(from.kind) {
            Ok(UnitKind::Unspecified) | Err(_) => {
                return Err(Error::invalid(format!("{at}.kind"), "is not a kind"));
            }
            Ok(kind) => kind,
        };
        if !(1949..=2200).contains(&from.code_year) {
            return Err(Error::invalid(format!("{at}.code_year"), "must be a year from 1949 to 2200"));
        }
        Ok(Self {
            code: text::code(&format!("{at}.code"), &from.code, 40)?,
            code_system: text::code(&format!("{at}.code_system"), &from.code_system, 40)?,
            code_year: from.code_year,
            kind,
            name_zh: text::name(&format!("{at}.name_zh"), &from.name_zh, 80)?,
            name_en: text::optional_name(&format!("{at}.name_en"), &from.name_en, 120)?,
        })
    }
}

/// What to change of a unit; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct UnitChange {
    /// New code.
    pub code: Option<String>,
    /// New Chinese name.
    pub name_zh: Option<String>,
    /// New English name; may be empty.
    pub name_en: Option<String>,
}

impl UnitChange {
    /// The field that a refusal of the whole names.
    fn named(&self) -> &'static str {
        match self {
            Self { name_zh: None, name_en: Some(_), .. } => "name_en",
            Self { name_zh: None, code: Some(_), .. } => "code",
            _ => "name_zh",
        }
    }
}

/// What became of a merger.
#[derive(Clone, Debug)]
pub struct Merger {
    /// The new unit.
    pub successor: Unit,
    /// The merged units, ended.
    pub merged: Vec<Unit>,
    /// Their children, now below the successor.
    pub rehomed: Vec<Unit>,
}

impl Unit {
    /// A unit in force from `now` below `parent` (the root has none).
    ///
    /// # Errors
    /// `Invalid` when the kind does not fit below the parent; `WrongState` when the parent is not in force.
    pub fn create(id: UnitId, new: NewUnit, parent: Option<&Self>, now: Timestamp) -> Result<Self> {
        match parent {
            Some(parent) => {
                parent.must_be_active()?;
                if !fits_below(parent.kind, new.kind) {
                    return Err(Error::invalid("unit.kind", "does not fit below this parent"));
                }
            }
            None if new.kind == UnitKind::City || new.kind == UnitKind::District => {}
            None => return Err(Error::invalid("unit.parent_id", "is needed for this kind")),
        }
        Ok(Self {
            id,
            code: new.code,
            code_system: new.code_system,
            code_year: new.code_year,
            kind: new.kind,
            name_zh: new.name_zh,
            name_en: new.name_en,
            parent_id: parent.map(|p| p.id),
            state: UnitState::Active,
            valid_from: now,
            valid_to: None,
            version: 1,
            successor_id: None,
        })
    }

    /// Renames or recodes the unit.
    ///
    /// # Errors
    /// `Stale` when `version` is not the present one, `WrongState` when the unit is not in force, `Invalid` when
    /// nothing changes.
    pub fn change(mut self, version: i64, change: UnitChange) -> Result<Self> {
        if version != self.version {
            return Err(Error::stale(KIND, self.id));
        }
        self.must_be_active()?;
        let before = self.clone();
        let named = change.named();
        self.code = change.code.unwrap_or(self.code);
        self.name_zh = change.name_zh.unwrap_or(self.name_zh);
        self.name_en = change.name_en.unwrap_or(self.name_en);
        if self == before {
            return Err(Error::invalid(named, "nothing would change"));
        }
        self.version += 1;
        Ok(self)
    }

    /// Merges units of one kind and parent into a successor at `at`; their children move below the successor.
    ///
    /// # Errors
    /// `Invalid` when the units do not belong together or `at` does not fit, `WrongState` when one is not in force.
    pub fn merge(
        units: Vec<Self>,
        children: Vec<Self>,
        id: UnitId,
        successor: NewUnit,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Merger> {
        let Some(first) = units.first().cloned() else {
            return Err(Error::invalid("from_unit_ids", "must name at least two units"));
        };
        if units.len() < 2 {
            return Err(Error::invalid("from_unit_ids", "must name at least two units"));
        }
        for unit in &units {
            unit.must_be_active()?;
            if unit.parent_id != first.parent_id || unit.kind != first.kind {
                return Err(Error::invalid("from_unit_ids", "must be of one kind and one parent"));
            }
            if at < unit.valid_from {
                return Err(Error::invalid("effective_time", "lies before a unit's beginning"));
            }
        }
        if at > now {
            return Err(Error::invalid("effective_time", "must not lie in the future"));
        }
        if successor.kind != first.kind {
            return Err(Error::invalid("successor.kind", "must be the kind of the merged units"));
        }
        let successor = Self {
            id,
            code: successor.code,
            code_system: successor.code_system,
            code_year: successor.code_year,
            kind: successor.kind,
            name_zh: successor.name_zh,
            name_en: successor.name_en,
            parent_id: first.parent_id,
            state: UnitState::Active,
            valid_from: at,
            valid_to: None,
            version: 1,
            successor_id: None,
        };
        let merged = units
            .into_iter()
            .map(|unit| Self {
                state: UnitState::Merged,
                valid_to: Some(at),
                version: unit.version + 1,
                successor_id: Some(id),
                ..unit
            })
            .collect();
        let rehomed = children
            .into_iter()
            .filter(|child| child.state == UnitState::Active)
            .map(|child| Self { parent_id: Some(id), version: child.version + 1, ..child })
            .collect();
        Ok(Merger { successor, merged, rehomed })
    }

    fn must_be_active(&self) -> Result<()> {
        if self.state == UnitState::Active {
            return Ok(());
        }
        Err(Error::wrong_state(KIND, self.id, "is not in force"))
    }
}

/// Which kind may stand below which. Courtyards may be skipped where there are none.
pub fn fits_below(parent: UnitKind, kind: UnitKind) -> bool {
    use UnitKind::{City, Community, Courtyard, District, Doorway, Street};
    matches!(
        (parent, kind),
        (City, District)
            | (District, Street)
            | (Street, Community)
            | (Community, Courtyard | Doorway)
            | (Courtyard, Doorway)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap()
    }

    fn new(kind: UnitKind, code: &str) -> NewUnit {
        NewUnit {
            code: code.to_owned(),
            code_system: "statistics".to_owned(),
            code_year: 2023,
            kind,
            name_zh: "某".to_owned(),
            name_en: String::new(),
        }
    }

    fn id(n: u128) -> UnitId {
        UnitId(Uuid::from_u128(n))
    }

    fn street() -> Unit {
        let district = Unit::create(id(1), new(UnitKind::District, "420103"), None, at(0)).unwrap();
        Unit::create(id(2), new(UnitKind::Street, "420103009"), Some(&district), at(0)).unwrap()
    }

    fn community(n: u128) -> Unit {
        Unit::create(id(n), new(UnitKind::Community, &n.to_string()), Some(&street()), at(0)).unwrap()
    }

    #[test]
    fn a_unit_stands_one_step_below_its_parent() {
        let street = street();
        assert!(Unit::create(id(3), new(UnitKind::Community, "1"), Some(&street), at(0)).is_ok());
        for kind in
            [UnitKind::City, UnitKind::District, UnitKind::Street, UnitKind::Courtyard, UnitKind::Doorway]
        {
            let error = Unit::create(id(3), new(kind, "1"), Some(&street), at(0)).unwrap_err();
            assert!(matches!(error, Error::Invalid { field, .. } if field == "unit.kind"), "{kind:?}");
        }
        assert!(Unit::create(id(3), new(UnitKind::Street, "1"), None, at(0)).is_err());
    }

    #[test]
    fn a_change_needs_the_present_version_and_a_unit_in_force() {
        let rename = || UnitChange { name_zh: Some("新".to_owned()), ..UnitChange::default() };
        let unit = street();
        assert!(matches!(unit.clone().change(7, rename()), Err(Error::Stale { .. })));
        assert!(matches!(unit.clone().change(1, UnitChange::default()), Err(Error::Invalid { .. })));
        let changed = unit.clone().change(1, rename()).unwrap();
        assert_eq!((changed.name_zh.as_str(), changed.version), ("新", 2));
        let unnamed = UnitChange { name_en: Some(String::new()), ..UnitChange::default() };
        let same = unit.clone().change(1, unnamed).unwrap_err();
        assert!(matches!(same, Error::Invalid { field, .. } if field == "name_en"), "it had none");
        let ended = Unit { state: UnitState::Merged, ..unit };
        assert!(matches!(ended.change(1, rename()), Err(Error::WrongState { .. })));
    }

    #[test]
    fn merged_units_end_when_the_successor_begins_and_children_move() {
        let (a, b) = (community(10), community(11));
        let yard = Unit::create(id(20), new(UnitKind::Courtyard, "c"), Some(&a), at(1)).unwrap();
        let merger =
            Unit::merge(vec![a, b], vec![yard], id(12), new(UnitKind::Community, "12"), at(5), at(9))
                .unwrap();
        assert_eq!(merger.successor.valid_from, at(5));
        assert!(merger.merged.iter().all(|u| u.state == UnitState::Merged && u.valid_to == Some(at(5))));
        assert!(merger.merged.iter().all(|u| u.successor_id == Some(id(12))));
        assert_eq!(merger.rehomed[0].parent_id, Some(id(12)));
        assert_eq!(merger.rehomed[0].version, 2);
    }

    #[test]
    fn only_siblings_in_force_merge() {
        let new = || new(UnitKind::Community, "12");
        let (a, b) = (community(10), community(11));
        let try_merge = |units, at_, now| Unit::merge(units, vec![], id(12), new(), at_, now).map(drop);
        assert!(try_merge(vec![a.clone()], at(5), at(9)).is_err(), "one");
        let other = Unit { parent_id: Some(id(99)), ..b.clone() };
        assert!(try_merge(vec![a.clone(), other], at(5), at(9)).is_err(), "two parents");
        let ended = Unit { state: UnitState::Merged, ..b.clone() };
        assert!(matches!(try_merge(vec![a.clone(), ended], at(5), at(9)), Err(Error::WrongState { .. })));
        assert!(try_merge(vec![a.clone(), b.clone()], at(10), at(9)).is_err(), "in the future");
        assert!(try_merge(vec![a, b], at(-1), at(9)).is_err(), "before their beginning");
    }

    proptest! {
        // I-1: levels strictly fall along parents, so no sequence of creations can close a cycle.
        #[test]
        fn a_child_is_always_of_a_lower_level(parent in 1..=6i32, kind in 1..=6i32) {
            let (parent, kind) = (UnitKind::try_from(parent).unwrap(), UnitKind::try_from(kind).unwrap());
            if fits_below(parent, kind) {
                prop_assert!(kind as i32 > parent as i32);
            }
        }
    }
}
