//! What a change says besides its values: which version it is based on, and which fields it sets.

use prost_types::FieldMask;

use crate::error::{Error, Result};

/// The version in an `etag`; empty skips the check. Anything that was never given out is `Invalid { etag }`.
pub fn etag(text: &str) -> Result<Option<i64>> {
    version("etag", text)
}

/// The version that an etag in another field stands for; empty names none.
pub fn version(field: &str, text: &str) -> Result<Option<i64>> {
    if text.is_empty() {
        return Ok(None);
    }
    let version = text.parse().ok().filter(|version: &i64| *version > 0);
    version.map(Some).ok_or_else(|| Error::invalid(field, "is no etag"))
}

/// `Stale` when a change is based on another version than the present one.
pub fn fresh(etag: Option<i64>, version: i64, kind: &'static str, id: impl ToString) -> Result<()> {
    if etag.is_some_and(|etag| etag != version) { Err(Error::stale(kind, id)) } else { Ok(()) }
}

/// The fields that an update sets (AIP-134). Where a mask is absent or names none, each RPC says what is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask(Vec<String>);

impl Mask {
    /// Of a request's `update_mask`; `fields` are those that it may name.
    ///
    /// # Errors
    /// `Invalid { update_mask }` when it names another.
    pub fn new(mask: Option<&FieldMask>, fields: &[&str]) -> Result<Self> {
        let named = mask.map(|mask| mask.paths.clone()).unwrap_or_default();
        if named.iter().all(|path| fields.contains(&path.as_str())) {
            return Ok(Self(named));
        }
        Err(Error::invalid("update_mask", format!("may name {} only", fields.join(", "))))
    }

    /// Whether a field is set; `otherwise` counts without a mask.
    pub fn sets(&self, field: &str, otherwise: bool) -> bool {
        if self.0.is_empty() { otherwise } else { self.0.iter().any(|named| named == field) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_a_version_and_an_empty_one_skips_the_check() {
        assert_eq!(etag("7").unwrap(), Some(7));
        assert_eq!(etag("").unwrap(), None);
        for wrong in ["x", "0", "-1", "7 ", "99999999999999999999"] {
            assert!(matches!(etag(wrong), Err(Error::Invalid { field, .. }) if field == "etag"), "{wrong}");
        }
        assert!(fresh(None, 3, "thing", 1).is_ok() && fresh(Some(3), 3, "thing", 1).is_ok());
        assert!(matches!(fresh(Some(2), 3, "thing", 1), Err(Error::Stale { kind: "thing", .. })));
    }

    #[test]
    fn a_mask_sets_what_it_names_and_none_leaves_it_to_the_rpc() {
        let of = |paths: &[&str]| FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
        let fields = ["name", "code"];
        let named = Mask::new(Some(&of(&["name"])), &fields).unwrap();
        assert!(named.sets("name", false) && !named.sets("code", true));
        for none in [None, Some(of(&[]))] {
            let mask = Mask::new(none.as_ref(), &fields).unwrap();
            assert!(mask.sets("name", true) && !mask.sets("name", false));
        }
        for wrong in ["colour", "", "name.first", "*"] {
            let refused = Mask::new(Some(&of(&["name", wrong])), &fields);
            assert!(
                matches!(refused, Err(Error::Invalid { field, .. }) if field == "update_mask"),
                "{wrong}"
            );
        }
    }
}
