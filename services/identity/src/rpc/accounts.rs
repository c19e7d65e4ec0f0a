//! Logins with their passwords. A password comes with the request, and only its hash is kept.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, answered, once},
    db::Tx,
};
use proto::identity::v1::{
    ChangePasswordRequest, ChangePasswordResponse, CreateAccountRequest, CreateAccountResponse,
    ResetPasswordRequest, ResetPasswordResponse,
};

use super::{Identity, grants::may_act_as, known_to, person::access, reach};
use crate::{
    domain::{
        PersonId, SessionId,
        audit::Decision,
        grant::{self, RoleGrant},
        login,
        personal::KIND,
    },
    store::{
        accounts::{self, Chooser},
        audit, grants, people, units,
    },
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
        login::check_password("password", &request.password, &login)?;
        let hash = self.passwords.turn().await?.hash(&request.password).await?;
        let (units, maker) = (reach(caller), PersonId(caller.person_id));
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            people::within(tx.conn, id, &units).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            may_choose_for(tx, caller, id).await?;
            let by = Chooser { person: maker, known_to: known_to(tx, caller).await? };
            accounts::insert(tx.conn, &login, id, &hash, Some(&by), self.clock.real_now()).await?;
            let access = access(tx, caller, "CreateAccount", Some(id), "", Decision::Allow);
            audit::append(tx.conn, &self.crypto, access).await?;
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
        login::check_strength("password", &request.password)?;
        let hash = self.passwords.turn().await?.hash(&request.password).await?;
        let (units, password) = (reach(caller), request.password);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            people::within(tx.conn, id, &units).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            let held = may_choose_for(tx, caller, id).await?;
            let approves = held.iter().any(|grant| grant::approves(grant.role));
            let login = accounts::login_of(tx.conn, id).await?;
            let login = login.ok_or_else(|| Error::not_found("account", id))?;
            login::check_password("password", &password, &login)?;
            let by = Chooser { person: PersonId(caller.person_id), known_to: known_to(tx, caller).await? };
            self.sign_ins.set_password(tx, id, (&login, &hash), &by, approves).await?;
            let access = access(tx, caller, "ResetPassword", Some(id), "", Decision::Allow);
            audit::append(tx.conn, &self.crypto, access).await?;
            Ok(ResetPasswordResponse {})
        })
        .await
    }

    pub(super) async fn password_change(
        &self,
        caller: &Caller,
        request: ChangePasswordRequest,
    ) -> Result<ChangePasswordResponse> {
        let meta = Meta::new("ChangePassword", &request.request_id, &request)?;
        let ChangePasswordRequest { current_password, new_password, .. } = request;
        login::check_tried("current_password", &current_password)?;
        login::check_strength("new_password", &new_password)?;
        if new_password == current_password {
            return Err(Error::invalid("new_password", "must not be the current one"));
        }
        // Once it is carried out the current password is none any more: a repeat must not be taken for a wrong one.
        if let Some(answer) = answered(&self.db, caller, &meta).await? {
            return Ok(answer);
        }
        let id = PersonId(caller.person_id);
        let login = accounts::login_of(&mut *self.db.conn().await?, id).await?;
        let login = login.ok_or_else(|| Error::not_found("account", id))?;
        login::check_password("new_password", &new_password, &login)?;
        let tried = match self.sign_ins.try_password(login, &current_password).await {
            // The same request may have been carried out meanwhile.
            Err(Error::Unauthenticated) => {
                return answered(&self.db, caller, &meta).await?.ok_or(Error::Unauthenticated);
            }
            tried => tried?,
        };
        self.sign_ins.check_new(&tried, "new_password", &new_password).await?;
        let hash = self.passwords.turn().await?.hash(&new_password).await?;
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            self.sign_ins.change_password(tx, &tried, &hash, SessionId(caller.session_id)).await?;
            let access = access(tx, caller, "ChangePassword", Some(id), "", Decision::Allow);
            audit::append(tx.conn, &self.crypto, access).await?;
            Ok(ChangePasswordResponse {})
        })
        .await
    }
}

/// Refuses to let the caller choose the password of somebody with roles beyond the caller's own; gives what is held. Whoever
/// chooses a password can sign in by it: nobody gets further by it than by the own roles.
async fn may_choose_for(tx: &mut Tx<'_>, caller: &Caller, id: PersonId) -> Result<Vec<RoleGrant>> {
    let held = grants::held(tx.conn, id).await?;
    for grant in &held {
        may_act_as(tx, caller, grant).await?;
    }
    Ok(held)
}
