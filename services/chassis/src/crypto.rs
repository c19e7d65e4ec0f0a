//! Field encryption and blind indexes from one master key file. Every purpose has its own key (HKDF-SHA256), so what
//! is sealed for one purpose cannot be opened for another. Keys and plaintexts must never reach a log or an error.
//!
//! The key file holds one base64 key of 32 bytes per line, newest first: the first seals, all open. Blind indexes
//! come from the last (oldest) line, so that equal values keep equal indexes over a rotation; dropping that line
//! needs re-indexing first. Sealed form: `1 | key id (4) | nonce (12) | AES-256-GCM ciphertext and tag`.

use std::{
    collections::HashMap,
    fmt,
    io::ErrorKind,
    path::Path,
    sync::{Arc, RwLock},
};

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    error::{Error, Result},
    files,
};

const FORM: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 12;
const HEAD: usize = 1 + KEY_ID + NONCE;

/// Seals and opens by purpose. Cheap to clone.
#[derive(Clone)]
pub struct Crypto(Arc<Inner>);

struct Inner {
    /// Newest first.
    keys: Vec<MasterKey>,
    /// Derived ciphers by key index and purpose.
    ciphers: RwLock<HashMap<(usize, String), Arc<Aes256Gcm>>>,
}

struct MasterKey {
    id: [u8; KEY_ID],
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto").field("keys", &self.0.keys.len()).finish()
    }
}

impl Crypto {
    /// Reads the key file. One that is missing is not made: what a fresh key seals, nobody else opens, and what was sealed
    /// before, it does not open.
    ///
    /// # Errors
    /// When there is none, when it cannot be read, or when a line is not 32 bytes in base64.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let at = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                anyhow::bail!(
                    "there is no key file {at}: name that of the suite with JIANGHAN_KEY_FILE; for a new suite \
                     `jianghan key create --file {at}` makes one",
                    at = at.display()
                );
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the key file {}", path.display()));
            }
        };
        Self::parse(&text).with_context(|| format!("in the key file {}", path.display()))
    }

    /// Makes the key file of a new suite with a fresh key (mode 0600); false when there is a file, which stays as it is.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<bool> {
        if path.exists() {
            return Ok(false);
        }
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        }
        let mut key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        let mut text = BASE64_STANDARD.encode(key.as_slice());
        key.zeroize();
        text.push('\n');
        // Of several processes starting at once one wins, and nobody ever reads half a key.
        let created = files::create(path, text.as_bytes(), files::PRIVATE);
        text.zeroize();
        created.with_context(|| format!("cannot write the key file {}", path.display()))
    }

    /// Reads the key file, and makes it when there is none: for suites that begin with an empty folder.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`create`](Self::create).
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        Self::create(path)?;
        Self::load(path)
    }

    /// Keys from the text of a key file.
    ///
    /// # Errors
    /// When there is no key or a line is not 32 bytes in base64.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = Zeroizing::new(
                BASE64_STANDARD.decode(line).with_context(|| format!("line {} is not base64", number + 1))?,
            );
            let key: [u8; 32] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| anyhow::anyhow!("line {} is not a key of 32 bytes", number + 1))?;
            keys.push(key);
        }
        anyhow::ensure!(!keys.is_empty(), "there is no key");
        Ok(Self::from_keys(keys))
    }

    /// Keys given directly, newest first; for tests and for keys that come from a secret store.
    ///
    /// # Panics
    /// Never for a non-empty list; an empty one cannot seal and is refused by [`parse`](Self::parse).
    pub fn from_keys(keys: Vec<[u8; 32]>) -> Self {
        let keys = keys
            .into_iter()
            .map(|key| {
                let key = Zeroizing::new(key);
                let mut id = [0; KEY_ID];
                id.copy_from_slice(&derive(&key, "key id")[..KEY_ID]);
                MasterKey { id, key }
            })
            .collect();
        Self(Arc::new(Inner { keys, ciphers: RwLock::default() }))
    }

    /// A fresh random key that is kept nowhere: for tests.
    pub fn ephemeral() -> Self {
        Self::from_keys(vec![rand::random()])
    }

    /// Encrypts for a purpose; `aad` (such as the row's id) must be the same when opening.
    pub fn seal(&self, purpose: &str, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self
            .cipher(0, purpose)
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad })
            .expect("AES-GCM fails only beyond 64 GiB");
        let mut out = Vec::with_capacity(HEAD + sealed.len());
        out.push(FORM);
        out.extend_from_slice(&self.0.keys[0].id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Decrypts what was sealed for the same purpose and `aad` by any key of the file.
    ///
    /// # Errors
    /// `Internal` when the key is not in the file, or the bytes or the `aad` are not those that were sealed.
    pub fn open(&self, purpose: &str, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        if sealed.len() < HEAD || sealed[0] != FORM {
            return Err(Error::internal("sealed bytes have an unknown form"));
        }
        let key = self
            .0
            .keys
            .iter()
            .position(|k| k.id == sealed[1..=KEY_ID])
            .ok_or_else(|| Error::internal("the key that sealed this is not in the key file"))?;
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&sealed[1 + KEY_ID..HEAD]);
        self.cipher(key, purpose)
            .decrypt(&Nonce::from(nonce), Payload { msg: &sealed[HEAD..], aad })
            .map_err(|_| Error::internal("sealed bytes do not open"))
    }

    /// A keyed index of a value, equal for equal values: to find an encrypted field by its exact value. Normalise the
    /// value first, and compound it with another field when it has few possible values.
    pub fn blind_index(&self, purpose: &str, value: impl AsRef<[u8]>) -> [u8; 32] {
        let oldest = &self.0.keys[self.0.keys.len() - 1].key;
        let key = Zeroizing::new(derive(oldest, &format!("blind index {purpose}")));
        hmac(key.as_slice(), value.as_ref())
    }

    /// The secret by which a service proves to identity who it is: hex, from the oldest key, so that replicas restarted
    /// one by one in a rotation agree.
    pub fn service_secret(&self, service: &str) -> String {
        let oldest = &self.0.keys[self.0.keys.len() - 1].key;
        let secret = hmac(oldest.as_slice(), format!("service:{service}").as_bytes());
        secret.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn cipher(&self, key: usize, purpose: &str) -> Arc<Aes256Gcm> {
        let at = (key, purpose.to_owned());
        if let Some(cipher) = read(&self.0.ciphers).get(&at) {
            return cipher.clone();
        }
        let derived = Zeroizing::new(derive(&self.0.keys[key].key, &format!("seal {purpose}")));
        let cipher = Arc::new(Aes256Gcm::new(&(*derived).into()));
        let mut ciphers = self.0.ciphers.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        ciphers.insert(at, cipher.clone());
        cipher
    }
}

/// Whether two secrets are equal, in a time that does not tell how much of them is.
pub fn same_secret(a: &str, b: &str) -> bool {
    // Comparing digests hides the position of the first difference, because it is unpredictable in the digest.
    Sha256::digest(a.as_bytes()) == Sha256::digest(b.as_bytes())
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn derive(key: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut out = [0; 32];
    Hkdf::<Sha256>::new(Some(b"jianghan"), key)
        .expand(purpose.as_bytes(), &mut out)
        .expect("32 bytes are within what HKDF-SHA256 gives");
    out
}

fn hmac(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(value);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(keys: &[[u8; 32]]) -> String {
        keys.iter().map(|k| BASE64_STANDARD.encode(k) + "\n").collect()
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_row_only() {
        let crypto = Crypto::ephemeral();
        let sealed = crypto.seal("person.phone", "13800000000".as_bytes(), b"row 1");
        assert_eq!(crypto.open("person.phone", &sealed, b"row 1").unwrap(), b"13800000000");
        assert!(crypto.open("person.name", &sealed, b"row 1").is_err());
        assert!(crypto.open("person.phone", &sealed, b"row 2").is_err());
        assert!(Crypto::ephemeral().open("person.phone", &sealed, b"row 1").is_err());
        assert_ne!(sealed, crypto.seal("person.phone", b"13800000000", b"row 1"), "nonces differ");
    }

    #[test]
    fn after_a_rotation_the_old_still_opens_and_indexes_stay() {
        let (old, new) = ([1; 32], [2; 32]);
        let before = Crypto::parse(&text(&[old])).unwrap();
        let sealed = before.seal("p", b"x", b"");
        let after = Crypto::parse(&format!("# rotated\n\n{}", text(&[new, old]))).unwrap();
        assert_eq!(after.open("p", &sealed, b"").unwrap(), b"x");
        let again = after.seal("p", b"x", b"");
        assert!(before.open("p", &again, b"").is_err());
        assert_eq!(before.blind_index("phone", "1"), after.blind_index("phone", "1"));
        assert_eq!(before.service_secret("staffing"), after.service_secret("staffing"));
    }

    #[test]
    fn indexes_differ_by_purpose_value_and_key() {
        let (a, b) = (Crypto::from_keys(vec![[1; 32]]), Crypto::from_keys(vec![[2; 32]]));
        assert_eq!(a.blind_index("phone", "1"), a.clone().blind_index("phone", "1"));
        assert_ne!(a.blind_index("phone", "1"), a.blind_index("id_no", "1"));
        assert_ne!(a.blind_index("phone", "1"), a.blind_index("phone", "2"));
        assert_ne!(a.blind_index("phone", "1"), b.blind_index("phone", "1"));
    }

    #[test]
    fn a_key_file_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("jh-key-{}", crate::clock::new_id().simple()));
        let path = dir.join("sub/master.key");
        let missing = Crypto::load(&path).unwrap_err().to_string();
        assert!(missing.contains("JIANGHAN_KEY_FILE") && missing.contains("key create --file"), "{missing}");
        assert!(missing.contains(&path.display().to_string()) && !dir.exists(), "{missing}");
        assert!(Crypto::create(&path).unwrap());
        let first = Crypto::load(&path).unwrap();
        assert!(!Crypto::create(&path).unwrap(), "what is there stays");
        let second = Crypto::load_or_create(&path).unwrap();
        assert_eq!(second.open("p", &first.seal("p", b"x", b""), b"").unwrap(), b"x");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        std::fs::write(&path, "c2hvcnQ=\n").unwrap();
        assert!(format!("{:#}", Crypto::load_or_create(&path).unwrap_err()).contains("line 1"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn no_key_prints() {
        assert_eq!(format!("{:?}", Crypto::from_keys(vec![[7; 32]])), "Crypto { keys: 1 }");
    }

    proptest! {
        #[test]
        fn one_changed_byte_closes_it(plain in proptest::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let crypto = Crypto::from_keys(vec![[3; 32]]);
            let mut sealed = crypto.seal("p", &plain, b"aad");
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(crypto.open("p", &sealed, b"aad").is_err());
            sealed[at] ^= flip;
            prop_assert_eq!(crypto.open("p", &sealed, b"aad").unwrap(), plain);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(Crypto::from_keys(vec![[3; 32]]).open("p", &bytes, b"").is_err());
        }
    }
}
