//! Newtype ids. An id is a UUID; in requests it is text, and a malformed one names its field.

use std::fmt;

use chassis::{Error, Result};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the id from a request field.
            ///
            /// # Errors
            /// `Invalid` naming `field` when the text is no UUID.
            pub fn parse(field: &str, text: &str) -> Result<Self> {
                parse_uuid(field, text).map(Self)
            }

            /// As [`parse`](Self::parse), where empty text means none.
            ///
            /// # Errors
            /// `Invalid` naming `field` when the text is neither empty nor a UUID.
            pub fn parse_opt(field: &str, text: &str) -> Result<Option<Self>> {
                if text.is_empty() { Ok(None) } else { Self::parse(field, text).map(Some) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A unit of the tree.
    UnitId
);
id!(
    /// An organisation.
    OrgId
);
id!(
    /// An authority edge.
    EdgeId
);
id!(
    /// A person.
    PersonId
);
id!(
    /// A role grant.
    GrantId
);
id!(
    /// A session.
    SessionId
);

/// A UUID in its hyphenated or simple form; anything else names `field`.
///
/// # Errors
/// `Invalid` naming `field`.
pub fn parse_uuid(field: &str, text: &str) -> Result<Uuid> {
    match text.len() {
        32 | 36 => Uuid::try_parse(text).map_err(|_| Error::invalid(field, "is not a UUID")),
        _ => Err(Error::invalid(field, "is not a UUID")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_id_names_its_field() {
        for text in
            ["", "x", "{01890a5d-ac96-774b-bcce-b302099a8057}", "01890a5d-ac96-774b-bcce-b302099a805g"]
        {
            let error = UnitId::parse("unit_id", text).unwrap_err();
            assert!(matches!(error, Error::Invalid { field, .. } if field == "unit_id"));
        }
        let id = Uuid::from_u128(7);
        assert_eq!(UnitId::parse("unit_id", &id.to_string()).unwrap(), UnitId(id));
        assert_eq!(UnitId::parse_opt("unit_id", "").unwrap(), None);
    }
}
