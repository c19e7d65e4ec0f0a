//! Logins with their passwords. A password comes with the request, and only its hash is kept.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
};
use proto::identity::v1::{
    CreateAccountRequest, CreateAccountResponse, ResetPasswordRequest, ResetPasswordResponse,
};

use super::{Identity, grants::may_act_as, person::access, reach};
use crate::{
    domain::{PersonId, audit::Decision, login, personal::KIND},
    store::{accounts, audit, grants, people, units},
};

impl Identity {
    pub(super) async fn account_create(
        &self,
        caller: &Caller,
        request: CreateAccountRequest,
    ) -> Result<CreateAccountResponse> {
        let meta = Meta::new("CreateAccount", &request.request_id, &request)?;
        let id = PersonId::parse("person_id", &request.person_id)?;
        let login = login::login(&request.login)?;
        login::check_password(&request.password, &login)?;
        let hash = self.passwords.turn().await?.hash(&request.password).await?;
        let units = reach(caller);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            people::within(tx.conn, id, &units).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            accounts::insert(tx.conn, &login, id, &hash, self.clock.real_now()).await?;
            Ok(CreateAccountResponse {})
        })
        .await
    }

    pub(super) async fn password_reset(
        &self,
        caller: &Caller,
        request: ResetPasswordRequest,
    ) -> Result<ResetPasswordResponse> {
        let meta = Meta::new("ResetPassword", &request.request_id, &request)?;
        let id = PersonId::parse("person_id", &request.person_id)?;
        if id.0 == caller.person_id {
            return Err(Error::invalid("person_id", "nobody sets the own password anew"));
        }
        login::check_strength(&request.password)?;
        let hash = self.passwords.turn().await?.hash(&request.password).await?;
        let (units, password) = (reach(caller), request.password);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            people::within(tx.conn, id, &units).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            // Whoever sets a password can sign in by it: nobody gets further by it than by the own roles.
            for grant in grants::held(tx.conn, id).await? {
                may_act_as(tx, caller, &grant).await?;
            }
            let login = accounts::login_of(tx.conn, id).await?;
            let login = login.ok_or_else(|| Error::not_found("account", id))?;
            login::check_password(&password, &login)?;
            self.sign_ins.set_password(tx, id, (&login, &hash), PersonId(caller.person_id)).await?;
            let access = access(tx, caller, "ResetPassword", Some(id), "", Decision::Allow);
            audit::append(tx.conn, &self.crypto, access).await?;
            Ok(ResetPasswordResponse {})
        })
        .await
    }
}
