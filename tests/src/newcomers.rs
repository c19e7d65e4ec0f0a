//! People who are not seeded: entered, given roles and a login by those who may, over the API.

use std::path::PathBuf;

use jianghan::suite::{Account, Session, request_id};
use proto::{
    auth::v1::Role,
    identity::v1::{CreateAccountRequest, CreatePersonRequest, GrantRoleRequest, RoleGrant},
};

use crate::{Person, World, descriptors::word};

/// Somebody new.
pub struct Newcomer<'w> {
    /// Who can sign in.
    pub person: Person<'w>,
    /// What they were granted, in the order of the roles.
    pub grants: Vec<RoleGrant>,
}

impl World {
    /// Enters somebody who holds these roles at a unit, none of which needs a second approval. They hold them for no organisation:
    /// nobody works, volunteers or signs because of them.
    pub async fn newcomer(&self, roles: &[Role], unit_code: &str) -> Newcomer<'_> {
        let (dispatcher, admin) = (self.dispatcher(), self.anyone("security_admin", 0));
        let message = CreatePersonRequest {
            request_id: request_id(),
            name: "新来的（演示）".into(),
            home_unit_id: self.unit(unit_code),
            notice_version: "v1".into(),
            ..Default::default()
        };
        let entered = self.patient.people().create_person(dispatcher.asks(message).await).await;
        let entered = entered.expect("somebody is entered").into_inner().person.expect("a person");
        let mut grants = Vec::new();
        for role in roles {
            let grant = RoleGrant {
                person_id: entered.person_id.clone(),
                role: (*role).into(),
                unit_id: self.unit(unit_code),
                ..Default::default()
            };
            let message = GrantRoleRequest { request_id: request_id(), grant: Some(grant) };
            let granted = self.patient.people().grant_role(admin.asks(message).await).await;
            grants.push(granted.expect("a role is granted").into_inner().grant.expect("a grant"));
        }
        let account = Account {
            login: format!("newcomer.{}", entered.person_id),
            password: request_id(), // nobody guesses it either
            role: roles.first().map(|role| word(*role)).unwrap_or_default(),
            person_id: entered.person_id.clone(),
            actor_ref: entered.pseudonym,
            unit_code: unit_code.to_owned(),
            org_code: String::new(),
            line: String::new(),
            file: PathBuf::new(),
        };
        let message = CreateAccountRequest {
            request_id: request_id(),
            person_id: entered.person_id,
            login: account.login.clone(),
            password: account.password.clone(),
        };
        let made = self.patient.people().create_account(admin.asks(message).await).await;
        made.expect("an account is made");
        Newcomer { person: Person { world: self, session: Session::new(&self.patient, account) }, grants }
    }
}
