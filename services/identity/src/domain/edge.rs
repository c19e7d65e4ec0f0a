//! Authority edges: who leads, coordinates, guides, contracts or partners whom (domain §2.0.3). The kind of an edge is
//! the dispatch mode. Invariant A-1: `leads` never ends at a residents' committee, a self-governance group or a social
//! organisation, so nobody can be ordered who governs themselves.

use chassis::{Error, Result, Timestamp};
pub use proto::identity::v1::EdgeKind;

use super::{
    EdgeId, OrgId,
    organization::{Organization, OrganizationKind},
};

/// Kind in errors.
pub const KIND: &str = "authority_edge";

/// An authority edge.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorityEdge {
    /// Its id.
    pub id: EdgeId,
    /// The organisation that sends.
    pub from: OrgId,
    /// Its kind.
    pub from_kind: OrganizationKind,
    /// The organisation that receives.
    pub to: OrgId,
    /// Its kind.
    pub to_kind: OrganizationKind,
    /// Kind of the edge.
    pub kind: EdgeKind,
    /// Only for this line; none for every line.
    pub line: Option<String>,
    /// In force from.
    pub valid_from: Timestamp,
    /// In force until.
    pub valid_to: Option<Timestamp>,
    /// Grows with every change.
    pub version: i64,
}

/// Whether an edge of this kind may run between organisations of these kinds (the table of domain §2.0.3). A department leads
/// nobody but its own staff, which is no organisation, and reaches a committee through the street only.
pub fn allowed(kind: EdgeKind, from: OrganizationKind, to: OrganizationKind) -> bool {
    use OrganizationKind as O;
    match kind {
        EdgeKind::Leads => match from {
            O::Government => {
                matches!(to, O::Government | O::Department | O::StreetOffice | O::CallbackCentre)
            }
            O::StreetOffice => to == O::ServiceStation,
            _ => false,
        },
        EdgeKind::Coordinates => from == O::StreetOffice && matches!(to, O::Department | O::Utility),
        EdgeKind::Guides => matches!(from, O::Government | O::StreetOffice) && to == O::Committee,
        EdgeKind::Contracts => {
            matches!(from, O::Government | O::Department | O::StreetOffice | O::ServiceStation)
                && matches!(to, O::SocialOrg | O::Enterprise | O::PropertyCompany | O::Utility)
        }
        EdgeKind::Partners => {
            matches!(to, O::SocialOrg | O::SelfGovGroup | O::Enterprise | O::PropertyCompany | O::PartyOrg)
        }
        EdgeKind::Unspecified => false,
    }
}

impl AuthorityEdge {
    /// A new edge in force from `now`.
    ///
    /// # Errors
    /// `Invalid { edge.kind }` when such an edge may not run between these organisations (A-1 among them),
    /// `Invalid { edge.to_org_id }` when both are the same, `WrongState` when one is no longer in force.
    pub fn create(
        id: EdgeId,
        kind: EdgeKind,
        from: &Organization,
        to: &Organization,
        line: Option<String>,
        now: Timestamp,
    ) -> Result<Self> {
        if from.id == to.id {
            return Err(Error::invalid("edge.to_org_id", "must differ from from_org_id"));
        }
        for org in [from, to] {
            if org.valid_to.is_some() {
                return Err(Error::wrong_state(super::organization::KIND, org.id, "is not in force"));
            }
        }
        if kind == EdgeKind::Leads && Organization::is_self_governed(to.kind) {
            return Err(Error::invalid(
                "edge.kind",
                "leads must not end where people govern themselves (A-1)",
            ));
        }
        if !allowed(kind, from.kind, to.kind) {
            return Err(Error::invalid("edge.kind", "may not run between organisations of these kinds"));
        }
        Ok(Self {
            id,
            from: from.id,
            from_kind: from.kind,
            to: to.id,
            to_kind: to.kind,
            kind,
            line,
            valid_from: now,
            valid_to: None,
            version: 1,
        })
    }

    /// Ends the edge.
    ///
    /// # Errors
    /// `WrongState` when it has ended already.
    pub fn end(self, now: Timestamp) -> Result<Self> {
        if self.valid_to.is_some() {
            return Err(Error::wrong_state(KIND, self.id, "has ended already"));
        }
        Ok(Self { valid_to: Some(now.max(self.valid_from)), version: self.version + 1, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnitId;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn now() -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000, 0).unwrap()
    }

    fn org(n: u128, kind: OrganizationKind) -> Organization {
        Organization {
            id: OrgId(Uuid::from_u128(n)),
            code: n.to_string(),
            kind,
            name_zh: "某".to_owned(),
            name_en: String::new(),
            unit_id: UnitId(Uuid::nil()),
            line: None,
            valid_from: now(),
            valid_to: None,
            version: 1,
        }
    }

    fn kinds() -> impl Strategy<Value = OrganizationKind> {
        (1..=12i32).prop_map(|n| OrganizationKind::try_from(n).unwrap())
    }

    fn edge_kinds() -> impl Strategy<Value = EdgeKind> {
        (0..=5i32).prop_map(|n| EdgeKind::try_from(n).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        // Invariant A-1 over every combination, and over whole sequences: what is in force never orders the self-governed. What
        // orders is `leads` alone; the modes of dispatches are case-routing's.
        #[test]
        fn nobody_is_ordered_who_governs_themselves(
            orgs in proptest::collection::vec(kinds(), 2..8),
            acts in proptest::collection::vec((edge_kinds(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..20),
        ) {
            let orgs: Vec<_> = orgs.into_iter().enumerate().map(|(n, kind)| org(n as u128, kind)).collect();
            let mut edges: Vec<AuthorityEdge> = Vec::new();
            for (n, (kind, from, to, end)) in acts.into_iter().enumerate() {
                let (from, to) = (from.get(&orgs), to.get(&orgs));
                if let Ok(edge) = AuthorityEdge::create(EdgeId(Uuid::from_u128(n as u128)), kind, from, to, None, now()) {
                    edges.push(if end { edge.end(now()).unwrap() } else { edge });
                }
            }
            for edge in edges {
                prop_assert!(edge.kind != EdgeKind::Unspecified, "an edge is of some kind");
                prop_assert!(!(edge.kind == EdgeKind::Leads && Organization::is_self_governed(edge.to_kind)));
                prop_assert_ne!(edge.from, edge.to);
            }
        }
    }

    #[test]
    fn every_row_of_the_table_is_kept() {
        use EdgeKind as E;
        use OrganizationKind as O;
        let yes = [
            (E::Leads, O::Government, O::Government),
            (E::Leads, O::Government, O::StreetOffice),
            (E::Leads, O::Government, O::Department),
            (E::Leads, O::Government, O::CallbackCentre),
            (E::Leads, O::StreetOffice, O::ServiceStation),
            (E::Coordinates, O::StreetOffice, O::Department),
            (E::Guides, O::Government, O::Committee),
            (E::Guides, O::StreetOffice, O::Committee),
            (E::Contracts, O::StreetOffice, O::SocialOrg),
            (E::Partners, O::ServiceStation, O::SelfGovGroup),
            (E::Partners, O::Committee, O::SocialOrg),
        ];
        for (kind, from, to) in yes {
            assert!(
                AuthorityEdge::create(EdgeId(Uuid::nil()), kind, &org(1, from), &org(2, to), None, now())
                    .is_ok()
            );
        }
        let no = [
            (E::Leads, O::StreetOffice, O::Committee),
            (E::Leads, O::Government, O::SocialOrg),
            (E::Leads, O::StreetOffice, O::SelfGovGroup),
            (E::Leads, O::Committee, O::ServiceStation),
            (E::Leads, O::Government, O::ServiceStation),
            (E::Leads, O::StreetOffice, O::Government),
            (E::Leads, O::StreetOffice, O::Department),
            (E::Leads, O::StreetOffice, O::StreetOffice),
            (E::Leads, O::StreetOffice, O::CallbackCentre),
            (E::Leads, O::Department, O::Government),
            (E::Leads, O::Department, O::Department),
            (E::Leads, O::Department, O::StreetOffice),
            (E::Leads, O::Department, O::ServiceStation),
            (E::Leads, O::Department, O::CallbackCentre),
            (E::Coordinates, O::Department, O::Department),
            (E::Guides, O::Department, O::Committee),
            (E::Guides, O::StreetOffice, O::ServiceStation),
            (E::Contracts, O::Committee, O::SocialOrg),
            (E::Partners, O::StreetOffice, O::ServiceStation),
            (E::Unspecified, O::Government, O::Department),
        ];
        for (kind, from, to) in no {
            let made =
                AuthorityEdge::create(EdgeId(Uuid::nil()), kind, &org(1, from), &org(2, to), None, now());
            assert!(
                matches!(made, Err(Error::Invalid { field, .. }) if field == "edge.kind"),
                "{kind:?} {from:?} {to:?}"
            );
        }
    }

    #[test]
    fn an_edge_ends_once() {
        let (from, to) = (org(1, OrganizationKind::Government), org(2, OrganizationKind::Department));
        let edge =
            AuthorityEdge::create(EdgeId(Uuid::nil()), EdgeKind::Leads, &from, &to, None, now()).unwrap();
        let ended = edge.end(now()).unwrap();
        assert_eq!((ended.valid_to, ended.version), (Some(now()), 2));
        assert!(matches!(ended.end(now()), Err(Error::WrongState { .. })));
    }
}
