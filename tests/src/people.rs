//! The people of a world, found by what they are to a case: its resident, the window at its place, the leader of an
//! organisation, the worker behind a pseudonym.

use std::sync::Arc;

use jianghan::suite::Session;
use proto::case_routing::v1::Case;
use tonic::Request;

use crate::World;

/// Somebody who can sign in, in their world.
#[derive(Clone)]
pub struct Person<'w> {
    /// Where they live.
    pub world: &'w World,
    /// Their session.
    pub session: Arc<Session>,
}

impl Person<'_> {
    /// Their role, as the accounts name it.
    pub fn role(&self) -> &str {
        &self.session.account.role
    }

    /// A request that carries their token.
    pub async fn asks<T>(&self, message: T) -> Request<T> {
        let signed_in = self.session.request(message).await;
        signed_in.unwrap_or_else(|status| panic!("{} cannot sign in: {status}", self.session.account.login))
    }

    /// The value of their `authorization` header.
    pub async fn bearer(&self) -> String {
        let request = self.asks(()).await;
        let value = request.metadata().get("authorization").expect("a token");
        value.to_str().expect("a token is ASCII").to_owned()
    }
}

impl World {
    fn person(&self, found: anyhow::Result<&Arc<Session>>) -> Person<'_> {
        let session = found.unwrap_or_else(|error| panic!("{error:#}")).clone();
        Person { world: self, session }
    }

    /// The n-th resident.
    pub fn resident(&self, n: u64) -> Person<'_> {
        self.person(self.actors.role("resident", n))
    }

    /// The n-th account of a role, district-wide.
    pub fn anyone(&self, role: &str, n: u64) -> Person<'_> {
        self.person(self.actors.role(role, n))
    }

    /// Whoever signs in by this name.
    pub fn login(&self, login: &str) -> Person<'_> {
        let found = self.actors.login(login);
        self.person(found.ok_or_else(|| anyhow::anyhow!("nobody signs in as {login}")))
    }

    /// A service worker of the community's station.
    pub fn window(&self, community: &str) -> Person<'_> {
        self.login(&format!("worker1.{community}"))
    }

    /// A district dispatcher.
    pub fn dispatcher(&self) -> Person<'_> {
        self.anyone("district_dispatcher", 0)
    }

    /// Who signs for an organisation.
    pub fn leader_of(&self, org_id: &str) -> Person<'_> {
        self.person(self.actors.leader(org_id))
    }

    /// Who handles for an organisation.
    pub fn handler_of(&self, org_id: &str) -> Person<'_> {
        self.person(self.actors.handler(org_id))
    }

    /// Who answers for the partner that a case is offered to, or that leads it.
    pub fn partner_of(&self, case: &Case) -> Person<'_> {
        let offer = case.offer.as_ref().expect("the case is offered to a partner");
        self.leader_of(&offer.partner_org_id)
    }

    /// The worker whom the lead task of a case shows.
    pub fn worker_of(&self, case: &Case) -> Person<'_> {
        let task = jianghan::simulate::lead_task(case).expect("a lead task");
        let found = self.actors.worker(&task.worker_ref);
        self.person(found.ok_or_else(|| anyhow::anyhow!("the task shows no worker with an account")))
    }

    /// Somebody of the verification centre.
    pub fn verifier(&self) -> Person<'_> {
        self.anyone("verifier", 0)
    }

    /// Somebody who calls requesters back.
    pub fn callback_agent(&self) -> Person<'_> {
        self.anyone("callback_agent", 0)
    }

    /// Id of a unit by its code.
    pub fn unit(&self, code: &str) -> String {
        self.actors.unit_id(code).unwrap_or_else(|| panic!("there is no unit {code}")).to_owned()
    }

    /// Id of an organisation by its code.
    pub fn org(&self, code: &str) -> String {
        let found = self.actors.orgs.values().find(|org| org.code == code);
        found.unwrap_or_else(|| panic!("there is no organisation {code}")).org_id.clone()
    }
}
