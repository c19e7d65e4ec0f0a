//! The signature of a yearly notice or of an order about working hours: Ed25519 over the exact text of the file, with a
//! prefix that keeps a signature made for something else, one for the other, too, from counting. Keys and signatures are base64 of their bytes. Who may sign is decided by which
//! public key the service is configured with.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// A year's notice.
    Notice,
    /// An order about the working hours or closures of a unit.
    Hours,
}

impl Paper {
    /// Before the text.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Notice => b"jianghan calendar notice v1\n",
            Self::Hours => b"jianghan working hours v1\n",
        }
    }
}

/// The public key whose signature counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedKey(VerifyingKey);

/// A key pair that signs.
pub struct NoticeKey(SigningKey);

/// What is wrong with a key or a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No base64 of the right length, or no point of the curve.
    #[error("is not the base64 of an Ed25519 {0}")]
    Form(&'static str),
    /// Another text or another key.
    #[error("was not made for this text by the trusted key")]
    Wrong,
}

impl TrustedKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`SignatureError::Form`].
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let form = || SignatureError::Form("public key");
        let bytes: [u8; 32] = decode(text).ok_or_else(form)?;
        let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or_else(form)
    }

    /// Whether the signature was made for this text of a notice by the owner of the key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, text: &str, signature: &str) -> Result<(), SignatureError> {
        self.verify_as(Paper::Notice, text, signature)
    }

    /// Whether the signature was made for this text of such a paper by the owner of the key.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_as(&self, paper: Paper, text: &str, signature: &str) -> Result<(), SignatureError> {
        let bytes: [u8; 64] = decode(signature).ok_or(SignatureError::Form("signature"))?;
        let signature = Signature::from_bytes(&bytes);
        self.0.verify_strict(&signed(paper, text), &signature).map_err(|_| SignatureError::Wrong)
    }
}

/// Whether a text has the form of a signature, whoever's it is.
///
/// # Errors
/// [`SignatureError::Form`].
pub fn well_formed(signature: &str) -> Result<(), SignatureError> {
    decode::<64>(signature).map(drop).ok_or(SignatureError::Form("signature"))
}

impl std::fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0.as_bytes()))
    }
}

impl NoticeKey {
    /// From 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    /// [`SignatureError::Form`].
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| SignatureError::Form("private key in PEM"))
    }

    /// As PKCS#8 PEM.
    ///
    /// # Errors
    /// [`SignatureError::Form`]; not in practice.
    pub fn to_pem(&self) -> Result<String, SignatureError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| SignatureError::Form("private key"))?;
        Ok(pem.to_string())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> TrustedKey {
        TrustedKey(self.0.verifying_key())
    }

    /// Signs a notice.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        self.sign_as(Paper::Notice, text)
    }

    /// Signs a paper.
    #[must_use]
    pub fn sign_as(&self, paper: Paper, text: &str) -> String {
        BASE64_STANDARD.encode(self.0.sign(&signed(paper, text)).to_bytes())
    }
}

fn signed(paper: Paper, text: &str) -> Vec<u8> {
    [paper.prefix(), text.as_bytes()].concat()
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64_STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_text_and_the_very_key_are_taken() {
        let (key, other) = (NoticeKey::from_seed(&[1; 32]), NoticeKey::from_seed(&[2; 32]));
        let signature = key.sign("title_year = 2027");
        let trusted = TrustedKey::parse(&key.public().to_string()).unwrap();
        assert_eq!(trusted.verify("title_year = 2027", &signature), Ok(()));
        assert_eq!(trusted.verify("title_year = 2027\n", &signature), Err(SignatureError::Wrong));
        assert_eq!(other.public().verify("title_year = 2027", &signature), Err(SignatureError::Wrong));
        let plain = BASE64_STANDARD.encode(key.0.sign(b"title_year = 2027").to_bytes());
        assert_eq!(trusted.verify("title_year = 2027", &plain), Err(SignatureError::Wrong), "no prefix");
        let order = key.sign_as(Paper::Hours, "title_year = 2027");
        assert_eq!(trusted.verify_as(Paper::Hours, "title_year = 2027", &order), Ok(()));
        assert_eq!(
            trusted.verify("title_year = 2027", &order),
            Err(SignatureError::Wrong),
            "for another paper"
        );
        for bad in ["", "x", "AAAA", &signature[..40]] {
            assert_eq!(trusted.verify("", bad), Err(SignatureError::Form("signature")), "{bad}");
        }
    }

    #[test]
    fn keys_are_kept_and_read_back_and_a_weak_one_is_refused() {
        let key = NoticeKey::from_seed(&[3; 32]);
        let read = NoticeKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(read.public(), key.public());
        assert!(NoticeKey::from_pem("-----BEGIN NONSENSE-----").is_err());
        assert!(TrustedKey::parse("").is_err());
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        assert!(TrustedKey::parse(&BASE64_STANDARD.encode(identity)).is_err(), "anything verifies under it");
    }
}
