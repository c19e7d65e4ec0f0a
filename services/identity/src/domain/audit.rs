//! The audit chain: every entry is bound to the one before by a keyed hash, so that an edit, a deletion in the middle, an
//! insertion or a swap is found with its position. A cut tail shows only against a head that was noted elsewhere.

use chassis::Timestamp;
use uuid::Uuid;

/// Number and hash of an entry, such as the newest.
pub type Head = (i64, [u8; 32]);

/// Hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// Purpose of the key of the chain.
pub const KEY: &str = "audit chain";

/// Why an entry is not as it was written.
pub const EDITED: &str = "was edited";

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The access was given.
    Allow,
    /// The access was refused.
    Deny,
}

impl Decision {
    /// As stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// One access, before it is chained. Ids and codes only; the object is an id, never a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Domain time.
    pub at: Timestamp,
    /// Pseudonym of who.
    pub actor_ref: String,
    /// Role number under which; 0 when several or none.
    pub role: i16,
    /// Why: purpose of the RPC.
    pub purpose: String,
    /// What was done, such as `RevealPerson`.
    pub action: String,
    /// Kind of the object.
    pub object_kind: String,
    /// Its id, if one was found.
    pub object_id: Option<Uuid>,
    /// Reason given by the caller.
    pub reason_code: String,
    /// What was answered.
    pub decision: Decision,
}

/// An entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1, 2, 3 …
    pub seq: i64,
    /// The access.
    pub access: Access,
    /// Hash of the entry before.
    pub prev_hash: [u8; 32],
    /// Hash of this entry.
    pub hash: [u8; 32],
}

/// A fault in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the chain first breaks.
    pub seq: i64,
    /// How.
    pub cause: &'static str,
}

impl Entry {
    /// Chains an access behind `previous` with the keyed hash `mac`.
    pub fn chain(previous: Option<Head>, access: Access, mac: impl Fn(&[u8]) -> [u8; 32]) -> Self {
        let (seq, prev_hash) = previous.map_or((1, GENESIS), |(seq, hash)| (seq + 1, hash));
        let hash = mac(&canonical(seq, &prev_hash, &access));
        Self { seq, access, prev_hash, hash }
    }
}

/// A chain that is checked entry by entry, in order, and its head against one noted elsewhere.
#[derive(Debug)]
pub struct Check {
    previous: Option<Head>,
    noted: Option<Head>,
    noted_seen: bool,
}

impl Check {
    /// Before the first entry.
    pub fn new(noted: Option<Head>) -> Self {
        Self { previous: None, noted, noted_seen: noted.is_none() }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The first fault; nothing behind it is worth a look.
    pub fn take(&mut self, entry: &Entry, mac: impl Fn(&[u8]) -> [u8; 32]) -> Result<(), Fault> {
        let (last, hash) = self.previous.unwrap_or((0, GENESIS));
        if entry.seq != last + 1 {
            return Err(Fault { seq: last + 1, cause: "an entry is missing or out of order" });
        }
        if entry.prev_hash != hash {
            return Err(Fault { seq: entry.seq, cause: "does not continue the entry before" });
        }
        if entry.hash != mac(&canonical(entry.seq, &entry.prev_hash, &entry.access)) {
            return Err(Fault { seq: entry.seq, cause: EDITED });
        }
        if let Some((seq, noted)) = self.noted
            && seq == entry.seq
        {
            if noted != entry.hash {
                return Err(Fault { seq, cause: "is not the entry that was noted" });
            }
            self.noted_seen = true;
        }
        self.previous = Some((entry.seq, entry.hash));
        Ok(())
    }

    /// Behind the last entry; gives which that is.
    ///
    /// # Errors
    /// The chain ends before the entry that was noted.
    pub fn end(self) -> Result<Option<Head>, Fault> {
        if self.noted_seen {
            return Ok(self.previous);
        }
        Err(Fault { seq: self.previous.map_or(1, |(seq, _)| seq + 1), cause: "the chain was cut" })
    }
}

/// Every field with its length in front, so that no two entries share an encoding.
fn canonical(seq: i64, prev_hash: &[u8; 32], access: &Access) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut put = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    put(&seq.to_be_bytes());
    put(prev_hash);
    put(&access.at.timestamp_micros().to_be_bytes());
    put(access.actor_ref.as_bytes());
    put(&access.role.to_be_bytes());
    put(access.purpose.as_bytes());
    put(access.action.as_bytes());
    put(access.object_kind.as_bytes());
    put(access.object_id.as_ref().map_or(&[][..], |id| id.as_bytes()));
    put(access.reason_code.as_bytes());
    put(access.decision.code().as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn mac(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest([b"key", bytes].concat()).into()
    }

    fn verify(entries: &[Entry], noted: Option<Head>, mac: impl Fn(&[u8]) -> [u8; 32]) -> Result<(), Fault> {
        let mut check = Check::new(noted);
        for entry in entries {
            check.take(entry, &mac)?;
        }
        check.end().map(drop)
    }

    fn chain(count: usize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for n in 0..count {
            let access = Access {
                at: chrono::DateTime::from_timestamp(1_772_000_000 + n as i64, 0).unwrap(),
                actor_ref: format!("p-{n}"),
                role: 8,
                purpose: "handle_appeal".to_owned(),
                action: "RevealPerson".to_owned(),
                object_kind: "person".to_owned(),
                object_id: Some(Uuid::from_u128(n as u128)),
                reason_code: "visit".to_owned(),
                decision: Decision::Allow,
            };
            entries.push(Entry::chain(entries.last().map(|e| (e.seq, e.hash)), access, mac));
        }
        entries
    }

    proptest! {
        #[test]
        fn every_tampering_is_found_where_it_was_done(count in 2..12usize, at in any::<prop::sample::Index>(), how in 0..5) {
            let good = chain(count);
            let head = good.last().map(|e| (e.seq, e.hash));
            prop_assert_eq!(verify(&good, head, mac), Ok(()));
            let at = at.index(count);
            let mut bad = good;
            let expected = match how {
                0 => { bad[at].access.decision = Decision::Deny; at + 1 }
                1 => { bad.remove(at); at + 1 }
                2 if at + 1 < count => { bad.swap(at, at + 1); at + 1 }
                3 => { bad.truncate(at); at + 1 }
                _ => { bad[at].hash[0] ^= 1; at + 1 }
            };
            prop_assert_eq!(verify(&bad, head, mac).map_err(|f| f.seq), Err(expected as i64));
        }
    }

    #[test]
    fn a_rebuilt_chain_fails_without_the_key_and_against_the_noted_head() {
        let good = chain(3);
        let head = good.last().map(|e| (e.seq, e.hash));
        let other = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
        assert!(verify(&good, None, other).is_err());
        let mut shorter = chain(2);
        let access = Access { decision: Decision::Deny, ..good[2].access.clone() };
        shorter.push(Entry::chain(Some((2, shorter[1].hash)), access, mac));
        assert!(verify(&shorter, None, mac).is_ok());
        assert_eq!(verify(&shorter, head, mac).unwrap_err().seq, 3);
    }
}
