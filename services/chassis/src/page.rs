//! Keyset paging (AIP-158): an opaque token that holds the key of the last row of a page. A token is no credential:
//! every page is read within the caller's reach again, so it must hold nothing that needs protection.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    clock::{Timestamp, in_range},
    error::{Error, Result},
};

/// The longest token taken, in characters.
const MAX_TOKEN: usize = 2048;

/// Bytes that the rows of a page have together, of those whose texts may be long: clients take an answer of 4 MiB, unless they
/// say otherwise.
const MOST_BYTES: usize = 2 << 20;

/// The token for the page after the row with this key.
pub fn encode<T: Serialize>(key: &T) -> String {
    // Keys are tuples of ids, numbers and instants, which always serialize; an empty token would end the list early.
    let json = serde_json::to_vec(key).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

/// The key in a `page_token`; empty is the first page. Anything else that is not ours is `Invalid { page_token }`.
pub fn decode<T: DeserializeOwned>(token: &str) -> Result<Option<T>> {
    if token.is_empty() {
        return Ok(None);
    }
    let invalid = || Error::invalid("page_token", "is not a token of this list");
    if token.len() > MAX_TOKEN {
        return Err(invalid());
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let key: Value = serde_json::from_slice(&json).map_err(|_| invalid())?;
    if !storable(&key) {
        return Err(invalid());
    }
    serde_json::from_value(key).map(Some).map_err(|_| invalid())
}

/// Whether the database takes every text in a key: no NUL, and no instant before or after all that it knows.
fn storable(key: &Value) -> bool {
    match key {
        Value::String(text) => {
            !text.contains('\0') && text.parse::<Timestamp>().ok().is_none_or(|at| in_range(&at))
        }
        Value::Array(parts) => parts.iter().all(storable),
        Value::Object(parts) => parts.values().all(storable),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// How many rows to give: `default` for 0, at most `max`; a negative one is `Invalid { page_size }`.
pub fn size(requested: i32, default: i64, max: i64) -> Result<i64> {
    match requested {
        ..0 => Err(Error::invalid("page_size", "must not be negative")),
        0 => Ok(default.min(max)),
        n => Ok(i64::from(n).min(max)),
    }
}

/// Cuts `rows`, read with a limit of `size + 1`, to the page and gives the token of the next one (empty at the end).
pub fn cut<T, K: Serialize>(rows: &mut Vec<T>, size: i64, key: impl FnOnce(&T) -> K) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if rows.len() <= size {
        return String::new();
    }
    rows.truncate(size);
    rows.last().map(|row| encode(&key(row))).unwrap_or_default()
}

/// As [`cut`], and earlier where the rows would have too many bytes, so that no client gets an answer that it does not take; one row
/// is always given. `length` is that of a row as it is sent.
pub fn cut_fitting<T, K: Serialize>(
    rows: &mut Vec<T>,
    size: i64,
    length: impl Fn(&T) -> usize,
    key: impl FnOnce(&T) -> K,
) -> String {
    let together = rows.iter().scan(0_usize, |sum, row| {
        *sum = sum.saturating_add(length(row));
        Some(*sum)
    });
    let fitting = together.take_while(|sum| *sum <= MOST_BYTES).count().max(1);
    cut(rows, size.min(i64::try_from(fitting).unwrap_or(i64::MAX)), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_carries_its_key() {
        let key = (uuid::Uuid::nil(), 17_i64, "街道".to_owned());
        assert_eq!(decode(&encode(&key)).unwrap(), Some(key));
        assert_eq!(decode::<(i64,)>("").unwrap(), None);
    }

    #[test]
    fn a_foreign_token_names_the_field() {
        for token in ["%%%", "e30", &"A".repeat(MAX_TOKEN + 1), &encode(&"text")] {
            let error = decode::<(i64, i64)>(token).unwrap_err();
            assert!(matches!(error, Error::Invalid { field, .. } if field == "page_token"));
        }
    }

    #[test]
    fn a_token_holds_nothing_that_the_database_refuses() {
        let id = uuid::Uuid::nil();
        let far = Timestamp::MIN_UTC;
        assert!(decode::<(String, uuid::Uuid)>(&encode(&("a\0", id))).is_err());
        assert!(decode::<Option<String>>(&encode(&Some("\0"))).is_err());
        assert!(decode::<(Timestamp, uuid::Uuid)>(&encode(&(far, id))).is_err());
        let near = Timestamp::UNIX_EPOCH;
        assert_eq!(decode::<(Timestamp, uuid::Uuid)>(&encode(&(near, id))).unwrap(), Some((near, id)));
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size(0, 50, 500).unwrap(), 50);
        assert_eq!(size(7, 50, 500).unwrap(), 7);
        assert_eq!(size(i32::MAX, 50, 500).unwrap(), 500);
        assert!(matches!(size(-1, 50, 500), Err(Error::Invalid { field, .. }) if field == "page_size"));
    }

    #[test]
    fn the_last_page_has_no_token() {
        let mut rows = vec![1, 2, 3];
        assert_eq!(cut(&mut rows, 3, |r| *r), "");
        let mut rows = vec![1, 2, 3, 4];
        let token = cut(&mut rows, 3, |r| *r);
        assert_eq!((rows.len(), decode::<i32>(&token).unwrap()), (3, Some(3)));
    }

    #[test]
    fn a_page_ends_early_where_its_rows_would_be_too_long() {
        let pages = |mut rows: Vec<usize>| {
            let token = cut_fitting(&mut rows, 3, |length| *length, |length| *length);
            (rows, decode::<usize>(&token).unwrap())
        };
        assert_eq!(pages(vec![1, 2, 3, 4]), (vec![1, 2, 3], Some(3)));
        assert_eq!(pages(vec![1, 2, 3]), (vec![1, 2, 3], None));
        assert_eq!(pages(vec![1, MOST_BYTES - 1, 1]), (vec![1, MOST_BYTES - 1], Some(MOST_BYTES - 1)));
        assert_eq!(pages(vec![MOST_BYTES + 1, 1]), (vec![MOST_BYTES + 1], Some(MOST_BYTES + 1)));
        assert_eq!(pages(vec![MOST_BYTES + 1]), (vec![MOST_BYTES + 1], None));
        assert_eq!(pages(Vec::new()), (Vec::new(), None));
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(token in "\\PC{0,80}") {
            let _ = decode::<(i64, String)>(&token);
        }
    }
}
