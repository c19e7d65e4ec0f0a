//! The register of processing purposes: which personal fields are kept for what, on which legal basis (P-01, PIPL 13,
//! 17, 19). A field that is in no purpose can be neither stored nor revealed.

/// A reason to process personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// Code, as in the RPCs' policies.
    pub code: &'static str,
    /// Legal basis (PIPL 13).
    pub basis: LegalBasis,
    /// Personal fields it covers.
    pub fields: &'static [Field],
    /// Days after the last use for which they are kept.
    pub retention_days: u32,
}

/// Legal bases of PIPL 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegalBasis {
    /// 13(3): statutory duty.
    StatutoryDuty,
    /// 13(2): contract or employment.
    Contract,
}

/// A personal field of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Name.
    Name,
    /// Identity number (sensitive).
    IdNo,
    /// Phone.
    Phone,
    /// Year of birth.
    BirthYear,
    /// A tag, such as of whoever has the minimum living allowance (sensitive).
    Tag,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 5] = [Self::Name, Self::IdNo, Self::Phone, Self::BirthYear, Self::Tag];

    /// Label under which the field is sealed and indexed; changing one makes stored values unreadable.
    pub fn label(self) -> &'static str {
        match self {
            Self::Name => "person.name",
            Self::IdNo => "person.id_no",
            Self::Phone => "person.phone",
            Self::BirthYear => "person.birth_year",
            Self::Tag => "person.tag",
        }
    }
}

/// Handling an appeal or application.
pub const HANDLE_APPEAL: &str = "handle_appeal";

/// Running the suite: grants and accounts.
pub const ADMINISTRATION: &str = "administration";

/// The register.
pub const PURPOSES: [Purpose; 2] = [
    Purpose {
        code: HANDLE_APPEAL,
        basis: LegalBasis::StatutoryDuty,
        fields: &Field::ALL,
        retention_days: 3 * 365,
    },
    Purpose { code: ADMINISTRATION, basis: LegalBasis::Contract, fields: &[], retention_days: 3 * 365 },
];

/// Whether a purpose covers a field.
pub fn covers(purpose: &str, field: Field) -> bool {
    PURPOSES.iter().any(|p| p.code == purpose && p.fields.contains(&field))
}

/// Whether a purpose may stand in a grant: it is one of some RPC's policy.
pub fn is_known(purpose: &str) -> bool {
    known().contains(purpose)
}

/// Every purpose that a policy names.
pub fn known() -> &'static std::collections::BTreeSet<String> {
    static KNOWN: std::sync::LazyLock<std::collections::BTreeSet<String>> = std::sync::LazyLock::new(|| {
        let table = chassis::auth::PolicyTable::of_suite();
        table.iter().map(|(_, policy)| policy.purpose.clone()).filter(|p| !p.is_empty()).collect()
    });
    &KNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_personal_field_has_a_purpose_and_every_purpose_is_used() {
        for field in Field::ALL {
            assert!(PURPOSES.iter().any(|p| p.fields.contains(&field)), "{field:?} may not be stored");
        }
        for purpose in PURPOSES {
            assert!(is_known(purpose.code), "no policy names {}", purpose.code);
            assert!(purpose.retention_days > 0);
        }
        assert!(!covers(ADMINISTRATION, Field::Phone));
        assert!(!is_known("curiosity"));
    }
}
