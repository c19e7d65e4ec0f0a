//! To which pages a reader is led: those whose list the service behind gives to one of the reader's roles, by the policy of its
//! RPC. What the token says is read and not checked: a link is no permission, and the service decides whatever is shown.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::auth::{Access, GrantClaim, Policy, PolicyTable, Role};
use serde::Deserialize;

use super::session::Session;

static POLICIES: LazyLock<PolicyTable> = LazyLock::new(PolicyTable::of_suite);

const HOTSPOTS: &str = "/jianghan.case_routing.v1.HotspotService/ListHotspots";
const DUTIES: &str = "/jianghan.case_routing.v1.DutyService/ListDutyTransfers";

/// Links that not everybody has. Nobody who is not signed in has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    pub hotspots: bool,
    pub duties: bool,
}

/// What of an access token is looked at.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    grants: Vec<GrantClaim>,
}

impl Links {
    /// Those of a signed-in person.
    pub fn of(session: &Session) -> Self {
        let grants = grants(&session.access).unwrap_or_default();
        let leads = |path| POLICIES.get(path).is_some_and(|policy| allows(policy, &grants));
        Self { hotspots: leads(HOTSPOTS), duties: leads(DUTIES) }
    }
}

/// The grants in the payload of a JWT.
fn grants(token: &str) -> Option<Vec<GrantClaim>> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok().map(|payload| payload.grants)
}

fn allows(policy: &Policy, grants: &[GrantClaim]) -> bool {
    let Access::Roles(roles) = policy.access else { return policy.access != Access::Service };
    grants.iter().any(|GrantClaim(role, _, _, _, purposes)| {
        Role::try_from(*role).is_ok_and(|role| roles.contains(role))
            && purposes.as_ref().is_none_or(|all| all.contains(&policy.purpose))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pages_are_for_roles() {
        for path in [HOTSPOTS, DUTIES] {
            let policy = POLICIES.get(path).unwrap_or_else(|| panic!("{path} has no policy"));
            assert!(matches!(policy.access, Access::Roles(_)), "{path}");
            assert!(!allows(policy, &[]));
        }
    }

    #[test]
    fn what_is_no_token_grants_nothing() {
        for token in ["", "access-600", "a.b.c", "..", "e30.e30.e30"] {
            assert!(grants(token).unwrap_or_default().is_empty(), "{token}");
        }
    }
}
