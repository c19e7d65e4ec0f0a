//! Signing in, tokens and keys.

use chassis::{
    Error, RpcResult,
    auth::Caller,
    clock::to_proto,
    command::{Meta, once},
    db::Tx,
};
use proto::identity::v1::{
    ChangePasswordRequest, ChangePasswordResponse, GetJwksRequest, GetJwksResponse, GetSelfRequest,
    GetSelfResponse, IssueServiceTokenRequest, IssueServiceTokenResponse, RefreshTokenRequest,
    RefreshTokenResponse, RotateKeysRequest, RotateKeysResponse, SignInRequest, SignInResponse,
    SignOutRequest, SignOutResponse, auth_service_server::AuthService,
};
use tonic::{Request, Response};

use super::{Identity, person::access};
use crate::{
    domain::{
        PersonId,
        audit::{Access, Decision},
        personal,
    },
    store::{audit, grants, people},
};

#[tonic::async_trait]
impl AuthService for Identity {
    async fn sign_in(&self, request: Request<SignInRequest>) -> RpcResult<SignInResponse> {
        let request = request.into_inner();
        let pair = self.sign_ins.sign_in(&request.login, &request.password).await?;
        Ok(Response::new(SignInResponse {
            access_token: pair.access_token,
            access_expire_time: Some(to_proto(pair.access_expires)),
            refresh_token: pair.refresh_token,
            refresh_expire_time: Some(to_proto(pair.refresh_expires)),
            person_id: pair.person_id.to_string(),
        }))
    }

    async fn refresh_token(&self, request: Request<RefreshTokenRequest>) -> RpcResult<RefreshTokenResponse> {
        let request = request.into_inner();
        let pair = self.sign_ins.refresh(&request.refresh_token, request.branch).await?;
        Ok(Response::new(RefreshTokenResponse {
            access_token: pair.access_token,
            access_expire_time: Some(to_proto(pair.access_expires)),
            refresh_token: pair.refresh_token,
            refresh_expire_time: Some(to_proto(pair.refresh_expires)),
            branch_refresh_token: pair.branch_refresh_token,
        }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> RpcResult<SignOutResponse> {
        self.sign_ins.sign_out(&Caller::of(&request)?).await?;
        Ok(Response::new(SignOutResponse {}))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> RpcResult<ChangePasswordResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.password_change(&caller, request.into_inner()).await?))
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> RpcResult<GetJwksResponse> {
        Ok(Response::new(GetJwksResponse { jwks_json: self.keys.jwks().await }))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> RpcResult<IssueServiceTokenResponse> {
        let request = request.into_inner();
        let (access_token, expires) = self.sign_ins.service_token(&request.service, &request.secret)?;
        Ok(Response::new(IssueServiceTokenResponse {
            access_token,
            access_expire_time: Some(to_proto(expires)),
        }))
    }

    async fn get_self(&self, request: Request<GetSelfRequest>) -> RpcResult<GetSelfResponse> {
        let caller = Caller::of(&request)?;
        let person = PersonId(caller.person_id);
        let mut conn = self.db.conn().await?;
        let row =
            people::get(&mut conn, person).await?.ok_or_else(|| Error::not_found(personal::KIND, person))?;
        let grants = grants::in_force(&mut conn, person, self.clock.now()).await?;
        Ok(Response::new(GetSelfResponse {
            person: Some(self.masked(&row)?),
            grants: grants.iter().map(Into::into).collect(),
        }))
    }

    async fn rotate_keys(&self, request: Request<RotateKeysRequest>) -> RpcResult<RotateKeysResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RotateKeys", &request.request_id, &request)?;
        let answer = once(&self.db, &caller, meta, async |tx: &mut Tx<'_>| {
            let key_id = self.keys.rotate(tx).await?;
            let access = access(tx, &caller, "RotateKeys", None, "", Decision::Allow);
            let access = Access { object_kind: "signing_key".to_owned(), ..access };
            audit::append(tx.conn, &self.crypto, access).await?;
            Ok(RotateKeysResponse { key_id })
        })
        .await?;
        self.keys.reload().await?;
        Ok(Response::new(answer))
    }
}
