//! Tokens for tests, signed by a key of their own.

use uuid::Uuid;

use crate::{
    auth::{
        AUDIENCE, Caller, CallerKind, Claims, GrantClaim, KeySource, Role, Scope, Signer, TokenKind, jwks,
    },
    clock::{Clock, new_id},
};

/// How long a test token is valid, in seconds.
const VALID: i64 = 3_600;

/// A signing key and the key source that knows it.
#[derive(Debug)]
pub struct TestKeys {
    signer: Signer,
    source: KeySource,
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKeys {
    /// A fresh key.
    ///
    /// # Panics
    /// Never: 32 bytes are a key.
    pub fn new() -> Self {
        let signer = Signer::from_seed(&rand::random()).expect("32 bytes are a key");
        let source = KeySource::local();
        source.replace(&jwks([&signer.jwk()])).expect("a JWK set of our own");
        Self { signer, source }
    }

    /// Give this to the service under test.
    pub fn source(&self) -> KeySource {
        self.source.clone()
    }

    /// The signing key, for odd tokens.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// An access token of a person.
    ///
    /// # Panics
    /// Never: claims of a persona encode.
    pub fn token(&self, persona: &Persona) -> String {
        self.signer.sign(&persona.claims()).expect("the claims encode")
    }

    /// An access token of a service.
    ///
    /// # Panics
    /// Never: claims of a service encode.
    pub fn service_token(&self, service: &str) -> String {
        let claims =
            Claims::service(service, AUDIENCE, AUDIENCE).valid_for(Clock::system().real_now(), VALID);
        self.signer.sign(&claims).expect("the claims encode")
    }
}

/// A person with grants, for tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// Person.
    pub person_id: Uuid,
    /// Pseudonym.
    pub actor_ref: String,
    /// Organisation the person acts for.
    pub org_id: Option<Uuid>,
    /// Session.
    pub session_id: Uuid,
    /// Grants.
    pub scopes: Vec<Scope>,
}

impl Persona {
    /// A new person with one role over a unit, on every line.
    pub fn new(role: Role, unit_id: Uuid) -> Self {
        let person_id = new_id();
        Self {
            person_id,
            actor_ref: format!("ref-{}", &person_id.simple().to_string()[20..]),
            org_id: None,
            session_id: new_id(),
            scopes: vec![Scope { role, unit_id, line: None, org_id: None }],
        }
    }

    /// A resident.
    pub fn resident(unit_id: Uuid) -> Self {
        Self::new(Role::Resident, unit_id)
    }

    /// With one more role.
    pub fn also(mut self, role: Role, unit_id: Uuid) -> Self {
        self.scopes.push(Scope { role, unit_id, line: None, org_id: self.org_id });
        self
    }

    /// All roles held so far only on this line.
    pub fn line(mut self, line: &str) -> Self {
        self.scopes.iter_mut().for_each(|scope| scope.line = Some(line.to_owned()));
        self
    }

    /// Acts for an organisation, for which all roles so far are held.
    pub fn org(mut self, org_id: Uuid) -> Self {
        self.org_id = Some(org_id);
        self.scopes.iter_mut().for_each(|scope| scope.org_id = Some(org_id));
        self
    }

    /// The caller that a handler would see if the RPC allowed all roles: for tests of pure decisions.
    pub fn caller(&self) -> Caller {
        Caller {
            person_id: self.person_id,
            actor_ref: self.actor_ref.clone(),
            org_id: self.org_id,
            session_id: self.session_id,
            scopes: self.scopes.clone(),
            held_orgs: self.scopes.iter().filter_map(|scope| scope.org_id).chain(self.org_id).collect(),
            purpose: "test".to_owned(),
            roles: self.scopes.iter().map(|scope| scope.role).collect(),
            kind: CallerKind::Person,
        }
    }

    fn claims(&self) -> Claims {
        let grants = self
            .scopes
            .iter()
            .map(|s| GrantClaim(s.role as i32, s.unit_id, s.line.clone(), s.org_id, None))
            .collect();
        Claims {
            sub: self.person_id,
            sid: self.session_id,
            act: self.actor_ref.clone(),
            org: self.org_id,
            kind: TokenKind::Person,
            grants,
            ..Claims::service("", AUDIENCE, AUDIENCE)
        }
        .valid_for(Clock::system().real_now(), VALID)
    }
}
