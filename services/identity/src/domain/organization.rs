//! Organisations: whatever holds tasks, edges or responsibilities. Each sits at one unit, with an optional line.

use chassis::{Error, Result, Timestamp};
pub use proto::identity::v1::OrganizationKind;

use super::{OrgId, UnitId, text};

/// Kind in errors.
pub const KIND: &str = "organization";

/// An organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Code; unique among the organisations in force.
    pub code: String,
    /// Kind; never changes, since authority edges depend on it.
    pub kind: OrganizationKind,
    /// Chinese name.
    pub name_zh: String,
    /// English name; may be empty.
    pub name_en: String,
    /// The unit it sits at.
    pub unit_id: UnitId,
    /// Its line; none for those that serve every line.
    pub line: Option<String>,
    /// In force from.
    pub valid_from: Timestamp,
    /// In force until.
    pub valid_to: Option<Timestamp>,
    /// Grows with every change.
    pub version: i64,
}

impl Organization {
    /// A new organisation from a request's `organization`, in force from `now`. The unit is checked by the caller.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub fn create(id: OrgId, from: &proto::identity::v1::Organization, now: Timestamp) -> Result<Self> {
        let kind = match OrganizationKind::try_from(from.kind) {
            Ok(OrganizationKind::Unspecified) | Err(_) => {
                return Err(Error::invalid("organization.kind", "is not a kind"));
            }
            Ok(kind) => kind,
        };
        let line = text::line("organization.line", &from.line)?;
        if kind == OrganizationKind::Department && line.is_none() {
            return Err(Error::invalid("organization.line", "is needed for a department"));
        }
        Ok(Self {
            id,
            code: text::code("organization.code", &from.code, 60)?,
            kind,
            name_zh: text::name("organization.name_zh", &from.name_zh, 80)?,
            name_en: text::optional_name("organization.name_en", &from.name_en, 120)?,
            unit_id: UnitId::parse("organization.unit_id", &from.unit_id)?,
            line,
            valid_from: now,
            valid_to: None,
            version: 1,
        })
    }

    /// Whether it governs itself: it may be asked and invited, never ordered (invariant A-1).
    pub fn is_self_governed(kind: OrganizationKind) -> bool {
        matches!(
            kind,
            OrganizationKind::Committee | OrganizationKind::SocialOrg | OrganizationKind::SelfGovGroup
        )
    }

    /// Moves to another unit, as when its unit is merged.
    pub fn rehome(self, unit_id: UnitId) -> Self {
        Self { unit_id, version: self.version + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn request() -> proto::identity::v1::Organization {
        proto::identity::v1::Organization {
            code: "420103-civil".to_owned(),
            kind: OrganizationKind::Department as i32,
            name_zh: "区民政局".to_owned(),
            unit_id: Uuid::from_u128(1).to_string(),
            line: "civil_affairs".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn each_bad_field_is_named() {
        type Change = fn(&mut proto::identity::v1::Organization);
        let now = chrono::DateTime::from_timestamp(0, 0).unwrap();
        let make = |change: Change| {
            let mut from = request();
            change(&mut from);
            Organization::create(OrgId(Uuid::nil()), &from, now)
        };
        assert!(make(|_| {}).is_ok());
        let bad: [(&str, Change); 6] = [
            ("organization.kind", |o| o.kind = 0),
            ("organization.kind", |o| o.kind = 99),
            ("organization.code", |o| o.code.clear()),
            ("organization.name_zh", |o| o.name_zh.clear()),
            ("organization.unit_id", |o| o.unit_id = "x".to_owned()),
            ("organization.line", |o| o.line.clear()),
        ];
        for (name, change) in bad {
            let error = make(change).unwrap_err();
            assert!(matches!(&error, Error::Invalid { field, .. } if field == name), "{name}: {error}");
        }
    }
}
