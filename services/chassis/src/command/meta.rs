//! What makes a command repeatable: the caller's request id, and a fingerprint by which another body under the same
//! id is told apart.

use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Error, Result};

/// Identity of one request. The key of its stored answer is caller + method + request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Name of the RPC, such as `DispatchCase`.
    pub method: &'static str,
    /// Chosen by the caller.
    pub request_id: Uuid,
    /// SHA-256 of the encoded request.
    pub fingerprint: [u8; 32],
}

impl Meta {
    /// Of a request message. `request_id` must be a UUID as text, else `Invalid { request_id }`.
    pub fn new(method: &'static str, request_id: &str, request: &impl Message) -> Result<Self> {
        let request_id = Uuid::try_parse(request_id)
            .ok()
            .filter(|id| !id.is_nil())
            .ok_or_else(|| Error::invalid("request_id", "must be a UUID"))?;
        Ok(Self { method, request_id, fingerprint: Sha256::digest(request.encode_to_vec()).into() })
    }

    /// As [`new`](Self::new), with the request id taken out of the request.
    pub fn of<M: Message>(
        method: &'static str,
        request: &M,
        request_id: impl Fn(&M) -> &str,
    ) -> Result<Self> {
        Self::new(method, request_id(request), request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_must_be_a_uuid() {
        for bad in ["", "x", "00000000-0000-0000-0000-000000000000"] {
            let error = Meta::new("Do", bad, &()).unwrap_err();
            assert!(matches!(error, Error::Invalid { field, .. } if field == "request_id"), "{bad}");
        }
        assert!(Meta::new("Do", "019a0000-0000-7000-8000-000000000001", &()).is_ok());
    }
}
