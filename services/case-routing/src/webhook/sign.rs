//! Signatures of deliveries as standard-webhooks has them: HMAC-SHA256 over `id.timestamp.body`.

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{Error, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of a signature. It does not print.
pub type Secret = Vec<u8>;

/// Secrets by what they begin with.
const PREFIX: &str = "whsec_";

/// A secret as it is given to the receiver.
pub fn secret_text(secret: &[u8]) -> String {
    format!("{PREFIX}{}", BASE64_STANDARD.encode(secret))
}

/// The header of one delivery: a signature by each secret, newest first.
///
/// # Errors
/// None that can be brought about: HMAC takes keys of any length.
pub fn signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> Result<String> {
    let one = |secret: &Secret| -> Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(Error::internal)?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    };
    Ok(secrets.iter().map(one).collect::<Result<Vec<_>>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard-webhooks specification.
    #[test]
    fn the_published_example_comes_out() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed =
            signature(std::slice::from_ref(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
                .unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signature(
            &[b"new".to_vec(), secret.clone()],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body,
        );
        let both = both.unwrap();
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&signed));
        assert_eq!(secret_text(&secret), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    }
}
