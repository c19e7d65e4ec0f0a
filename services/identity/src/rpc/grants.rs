//! Grants: requesting, approving, revoking, listing. Never beyond the grantor's own grants, which are read anew here and
//! not taken from the token.

use std::collections::BTreeSet;

use chassis::{
    Error, Result,
    auth::{Caller, Role},
    clock::new_id,
    command::{Meta, once},
    db::Tx,
    page,
    put_off::PutOff,
};
use proto::identity::v1::{
    ApproveGrantRequest, ApproveGrantResponse, GrantRoleRequest, GrantRoleResponse, ListRoleGrantsRequest,
    ListRoleGrantsResponse, RevokeRoleRequest, RevokeRoleResponse,
};
use uuid::Uuid;

use super::{
    Identity, check_session, known_to,
    person::access,
    reach,
    topology::{PAGE_DEFAULT, PAGE_MAX},
    unit_in_force, unit_within,
};
use crate::{
    domain::{
        GrantId, PersonId, UnitId,
        audit::{Access, Decision},
        facts,
        grant::{self, Extent, KIND, Rehomed, RoleGrant},
        organization, personal,
    },
    store::{accounts, audit, grants, organizations, people, server_now, sessions::EndReason, units},
};

/// The most grants that begin or end in one transaction.
const AT_ONCE: i64 = 500;

impl Identity {
    pub(super) async fn role_grant(
        &self,
        caller: &Caller,
        request: GrantRoleRequest,
    ) -> Result<GrantRoleResponse> {
        let meta = Meta::new("GrantRole", &request.request_id, &request)?;
        let from = request.grant.as_ref().ok_or_else(|| Error::invalid("grant", "is needed"))?;
        let wanted = RoleGrant::requested(GrantId(new_id()), from, self.clock.now())?;
        let by = PersonId(caller.person_id);
        if wanted.person_id == by {
            return Err(Error::invalid("grant.person_id", "nobody grants a role to oneself"));
        }
        let units = reach(caller);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            // A change of the caller's password waits, and then finds what is asked for here; or it has ended the session.
            accounts::hold_of(tx.conn, by).await?;
            check_session(tx, caller).await?;
            let person = wanted.person_id;
            let missing = || Error::not_found(personal::KIND, person);
            let row = people::lock_within(tx.conn, person, &units).await?.ok_or_else(missing)?;
            let path = unit_in_force(tx, caller, wanted.unit_id).await?;
            may_govern(tx, caller, &wanted, &path).await?;
            let held: Vec<Role> = grants::held(tx.conn, person).await?.iter().map(|g| g.role).collect();
            grant::check_exclusive(person, wanted.role, &held)?;
            let granted = wanted.approve(by, tx.now)?;
            grants::insert(tx.conn, &granted).await?;
            if granted.told {
                tx.emit(facts::role_granted(&granted, &row.pseudonym));
            }
            self.note(tx, caller, "GrantRole", granted.id).await?;
            Ok(GrantRoleResponse { grant: Some((&granted).into()) })
        })
        .await
    }

    pub(super) async fn grant_approve(
        &self,
        caller: &Caller,
        request: ApproveGrantRequest,
    ) -> Result<ApproveGrantResponse> {
        let meta = Meta::new("ApproveGrant", &request.request_id, &request)?;
        let id = GrantId::parse("grant_id", &request.grant_id)?;
        let units = reach(caller);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            let grant = within(tx, id, &units).await?;
            let path = unit_within(tx, caller, grant.unit_id).await?;
            may_govern(tx, caller, &grant, &path).await?;
            let by = PersonId(caller.person_id);
            let ours = known_to(tx, caller).await?;
            for first in &grant.approved_by {
                if *first == by {
                    continue; // who approved already is told so below
                }
                // The grant is held: a change of this one's password that ends it comes before or after all of this.
                let theirs = accounts::password_known_to(tx.conn, *first).await?;
                if !ours.is_disjoint(&theirs) {
                    let message = "one person may sign in as both approvers: somebody else approves it, or they \
                                   change their passwords first, which ends what they have asked for";
                    return Err(Error::wrong_state(KIND, id, message));
                }
            }
            let grant = grant.approve(by, tx.now)?;
            grants::update(tx.conn, &grant).await?;
            if grant.told {
                self.begin_grant(tx, &grant).await?;
            }
            self.note(tx, caller, "ApproveGrant", id).await?;
            Ok(ApproveGrantResponse { grant: Some((&grant).into()) })
        })
        .await
    }

    pub(super) async fn role_revoke(
        &self,
        caller: &Caller,
        request: RevokeRoleRequest,
    ) -> Result<RevokeRoleResponse> {
        let meta = Meta::new("RevokeRole", &request.request_id, &request)?;
        let id = GrantId::parse("grant_id", &request.grant_id)?;
        let units = reach(caller);
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            let grant = within(tx, id, &units).await?;
            may_end(tx, caller, &grant).await?;
            let begun = grant.has_begun(tx.now);
            let grant = grant.revoke(tx.now)?;
            grants::update(tx.conn, &grant).await?;
            let answer = RevokeRoleResponse { grant: Some((&grant).into()) };
            if begun {
                self.sign_ins.end_all(tx, grant.person_id, EndReason::Administrator).await?;
                self.bar_tokens(tx, &[grant]).await?;
            }
            self.note(tx, caller, "RevokeRole", id).await?;
            Ok(answer)
        })
        .await
    }

    /// Who gave or took which grant, for the audit. Last of all: entries wait for each other until the commit.
    async fn note(&self, tx: &mut Tx<'_>, caller: &Caller, action: &str, id: GrantId) -> Result<()> {
        let access = access(tx, caller, action, None, "", Decision::Allow);
        let access = Access { object_kind: KIND.to_owned(), object_id: Some(id.0), ..access };
        audit::append(tx.conn, &self.crypto, access).await
    }

    pub(super) async fn role_grants_list(
        &self,
        caller: &Caller,
        request: ListRoleGrantsRequest,
    ) -> Result<ListRoleGrantsResponse> {
        let size = page::size(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let after = page::decode::<Uuid>(&request.page_token)?.unwrap_or_default();
        let person = PersonId::parse_opt("person_id", &request.person_id)?;
        let mut conn = self.db.conn().await?;
        let mut rows = grants::list(&mut conn, &reach(caller), person, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |grant| grant.id.0);
        Ok(ListRoleGrantsResponse { grants: rows.iter().map(Into::into).collect(), next_page_token })
    }

    /// Tells every service of grants that have ended and that tokens issued until now are refused, and refuses them here
    /// at once. The holders' rows are held, so a token that is being issued is either barred or knows of the end already.
    async fn bar_tokens(&self, tx: &mut Tx<'_>, ended: &[RoleGrant]) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let persons: BTreeSet<PersonId> = ended.iter().map(|grant| grant.person_id).collect();
        people::lock(tx.conn, &persons).await?;
        let before = server_now(tx.conn).await?;
        for grant in ended {
            tx.emit(facts::role_revoked(grant, before));
        }
        let revocations = self.revocations.clone();
        let persons: Vec<Uuid> = persons.into_iter().map(|person| person.0).collect();
        tx.after_commit(Box::new(move || revocations.bar_persons(&persons, before)));
        Ok(())
    }

    /// Grants over merged units go on at the successor, and tokens that name the old units are refused. What goes on is
    /// told before what has ended: who works under a grant is then in place to take over from themselves.
    /// There may be as many as the units have residents, so each kind is written in one statement.
    pub(super) async fn rehome_grants(&self, tx: &mut Tx<'_>, from: &[UnitId], to: UnitId) -> Result<()> {
        let (mut moved, mut over, mut following) = (Vec::new(), Vec::new(), Vec::new());
        for grant in grants::lock_at(tx.conn, from, tx.now).await? {
            match grant.rehome(GrantId(new_id()), to, tx.now)? {
                Rehomed::Moved(grant) => moved.push(grant),
                Rehomed::Followed { ended, next } => {
                    over.push(ended);
                    following.push(next);
                }
            }
        }
        grants::update_all(tx.conn, &moved).await?;
        grants::update_all(tx.conn, &over).await?;
        grants::insert_all(tx.conn, &following).await?;
        tell_granted(tx, &following).await?;
        self.bar_tokens(tx, &over).await
    }

    /// A grant comes into force: it is told, and a new administrator signs in anew.
    async fn begin_grant(&self, tx: &mut Tx<'_>, grant: &RoleGrant) -> Result<()> {
        let held = grants::held(tx.conn, grant.person_id).await?;
        let was_one =
            |held: &RoleGrant| held.id != grant.id && held.told && grant::is_administrator(held.role);
        if grant::is_administrator(grant.role) && !held.iter().any(was_one) {
            self.sign_ins.end_all(tx, grant.person_id, EndReason::Replaced).await?;
        }
        tell_granted(tx, std::slice::from_ref(grant)).await
    }

    /// Tells of grants that have come into force; gives how many. One that cannot begin is put off.
    ///
    /// # Errors
    /// Database errors.
    pub async fn begin_grants(&self, put_off: &mut PutOff) -> Result<usize> {
        let due = {
            let mut conn = self.db.conn().await?;
            grants::beginning(&mut conn, self.clock.now(), AT_ONCE, &put_off.ids()).await?
        };
        put_off.each("grants that begin", due, |ids| self.begin_these(ids)).await
    }

    async fn begin_these(&self, ids: Vec<Uuid>) -> Result<usize> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let due = grants::lock_beginning(tx.conn, tx.now, &ids).await?;
                let count = due.len();
                for grant in due {
                    let grant = grant.begin(tx.now)?;
                    grants::update(tx.conn, &grant).await?;
                    self.begin_grant(tx, &grant).await?;
                }
                Ok(count)
            })
            .await
    }

    /// Ends grants whose time is over, also those that still waited for an approval; gives how many. Tokens never
    /// outlive the grants they carry, so none is barred before its time. One that cannot end is put off.
    ///
    /// # Errors
    /// Database errors.
    pub async fn expire_grants(&self, put_off: &mut PutOff) -> Result<usize> {
        let due = {
            let mut conn = self.db.conn().await?;
            grants::expired(&mut conn, self.clock.now(), AT_ONCE, &put_off.ids()).await?
        };
        put_off.each("grants that end", due, |ids| self.expire_these(ids)).await
    }

    async fn expire_these(&self, ids: Vec<Uuid>) -> Result<usize> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let due = grants::lock_expired(tx.conn, tx.now, &ids).await?;
                let (count, mut over) = (due.len(), Vec::new());
                for grant in due {
                    let grant = grant.expire(tx.now)?;
                    grants::update(tx.conn, &grant).await?;
                    over.extend(grant.told.then_some(grant));
                }
                self.bar_tokens(tx, &over).await?;
                Ok(count)
            })
            .await
    }
}

/// Tells every service of grants that are in force.
async fn tell_granted(tx: &mut Tx<'_>, grants: &[RoleGrant]) -> Result<()> {
    let persons: BTreeSet<PersonId> = grants.iter().map(|grant| grant.person_id).collect();
    let pseudonyms = people::pseudonyms(tx.conn, &persons).await?;
    for grant in grants {
        let missing = || Error::not_found(personal::KIND, grant.person_id);
        let pseudonym = pseudonyms.get(&grant.person_id).ok_or_else(missing)?;
        tx.emit(facts::role_granted(grant, pseudonym));
    }
    Ok(())
}

/// A grant within reach; otherwise there is none.
async fn within(tx: &mut Tx<'_>, id: GrantId, units: &[Uuid]) -> Result<RoleGrant> {
    grants::lock_within(tx.conn, id, units).await?.ok_or_else(|| Error::not_found(KIND, id))
}

/// The caller's own grants, as they are now, by which this RPC was permitted: of its roles and for its purpose, each
/// with the path of its unit.
async fn held_to_govern(tx: &mut Tx<'_>, caller: &Caller) -> Result<Vec<(RoleGrant, Vec<Uuid>)>> {
    let mut held = Vec::new();
    for grant in grants::in_force(tx.conn, PersonId(caller.person_id), tx.now).await? {
        let serves = grant.purposes.as_ref().is_none_or(|all| all.contains(&caller.purpose));
        if caller.has(grant.role) && serves {
            let path = units::path(tx.conn, grant.unit_id).await?.unwrap_or_default();
            held.push((grant, path));
        }
    }
    Ok(held)
}

/// Whether one of the caller's own grants covers the wanted one in unit, line, purpose and end (I-3), and its role may
/// give the wanted role. The same one must reach the organisation, too; otherwise there is no such organisation.
async fn may_govern(tx: &mut Tx<'_>, caller: &Caller, wanted: &RoleGrant, path: &[Uuid]) -> Result<()> {
    let inner = extent(wanted, path);
    let mut covering = held_to_govern(tx, caller).await?;
    covering
        .retain(|(own, path)| may_grant(own.role, wanted.role) && grant::within(&inner, &extent(own, path)));
    if covering.is_empty() {
        return Err(Error::Forbidden);
    }
    let Some(id) = wanted.org_id else { return Ok(()) };
    let missing = || Error::not_found(organization::KIND, id);
    let org =
        organizations::get(tx.conn, id).await?.filter(|org| org.valid_to.is_none()).ok_or_else(missing)?;
    let seat = units::path(tx.conn, org.unit_id).await?.unwrap_or_default();
    let reached =
        covering.iter().any(|(own, path)| grant::reaches(&extent(own, path), &seat, org.line.as_deref()));
    if reached { Ok(()) } else { Err(missing()) }
}

/// Whether one of the caller's own grants covers another, and its role may give that role: who may choose the password of whoever
/// holds it, and so could act by it. The end does not count: who holds a term sets passwords of those without one.
pub(super) async fn may_act_as(tx: &mut Tx<'_>, caller: &Caller, held: &RoleGrant) -> Result<()> {
    let place = units::path(tx.conn, held.unit_id).await?.unwrap_or_default();
    let own = held_to_govern(tx, caller).await?;
    let may = own.iter().any(|(own, path)| {
        let for_ever = Extent { valid_to: None, ..extent(own, path) };
        may_grant(own.role, held.role) && grant::within(&extent(held, &place), &for_ever)
    });
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

/// Whether one of the caller's own grants reaches the other grant, and its role may give that role: who may end it.
async fn may_end(tx: &mut Tx<'_>, caller: &Caller, ending: &RoleGrant) -> Result<()> {
    let place = units::path(tx.conn, ending.unit_id).await?.unwrap_or_default();
    let held = held_to_govern(tx, caller).await?;
    let may = held.iter().any(|(own, path)| {
        may_grant(own.role, ending.role) && grant::reaches(&extent(own, path), &place, ending.line.as_deref())
    });
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

fn may_grant(by: Role, wanted: Role) -> bool {
    by == Role::SecurityAdmin || (by == Role::StreetLeader && grant::street_leader_may_grant(wanted))
}

fn extent<'a>(grant: &'a RoleGrant, path: &'a [Uuid]) -> Extent<'a> {
    Extent { path, line: grant.line.as_deref(), purposes: grant.purposes.as_ref(), valid_to: grant.valid_to }
}
