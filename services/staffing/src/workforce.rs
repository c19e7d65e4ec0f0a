//! Workers come with grants: whoever is granted a working role takes a seat of the organisation, with the skills of the
//! seat and of the line. A grant for what somebody does already, as when units are merged or a grant is renewed, takes
//! no other seat: the worker goes on as long as one of the grants is in force.

use std::collections::HashSet;

use chassis::{Error, Result, auth::Role, clock::new_id, db::Tx, event::Event};
use proto::identity::v1::{RoleGranted, RoleRevoked};
use uuid::Uuid;

use crate::{
    desk::Setup,
    domain::{GrantId, OrgId, PersonId, Post, PostId, PostState, UnitId, Worker, WorkerId},
    seed::{PostTemplate, templates},
    store::{
        announced::{Announced, Ended},
        grants::{self, Further},
        posts, workers,
    },
};

/// How many tasks that lack workers are taken up when somebody comes, the oldest: a head gives away what is
/// beyond.
pub const TAKEN_UP: i64 = 200;

/// A grant that makes a worker.
struct Appointment<'a> {
    grant: &'a RoleGranted,
    grant_id: GrantId,
    person_id: PersonId,
    org_id: OrgId,
    line: Option<String>,
    template: &'static PostTemplate,
}

/// The organisations that the grants of a batch may make somebody a worker of.
pub fn appointing(events: &[Event]) -> Result<Vec<Uuid>> {
    let mut orgs = Vec::new();
    for event in events.iter().filter(|event| event.is::<RoleGranted>()) {
        let grant: RoleGranted = event.decode()?;
        orgs.extend(Appointment::of(&grant)?.map(|appointment| appointment.org_id.0));
    }
    Ok(orgs)
}

/// The grants for an organisation among some, as they are kept: whoever holds one may be put on a post by hand.
pub fn announced(grants: &[RoleGranted]) -> Result<Vec<Announced>> {
    let for_org = grants.iter().filter(|grant| !grant.org_id.is_empty());
    let kept = for_org.map(|grant| -> Result<Announced> {
        Ok(Announced {
            grant_id: GrantId(uuid("grant_id", &grant.grant_id)?),
            person_id: PersonId(uuid("person_id", &grant.person_id)?),
            person_ref: grant.person_ref.clone(),
            org_id: OrgId(uuid("org_id", &grant.org_id)?),
        })
    });
    kept.collect()
}

/// The end of a grant, as it is kept.
pub fn ended(revoked: &RoleRevoked) -> Result<Ended> {
    Ok(Ended {
        grant_id: GrantId(uuid("grant_id", &revoked.grant_id)?),
        person_id: PersonId(uuid("person_id", &revoked.person_id)?),
    })
}

/// Appoints the holders of working roles; other roles, and grants that did so before, change nothing. Gives the posts that
/// they take.
pub async fn appoint(tx: &mut Tx<'_>, setup: &Setup, grants: &[RoleGranted]) -> Result<Vec<Post>> {
    let mut appointments = Vec::new();
    for grant in grants {
        appointments.extend(Appointment::of(grant)?);
    }
    if appointments.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = appointments.iter().map(|a| a.grant_id.0).collect();
    let mut known: HashSet<GrantId> = workers::known_grants(tx.conn, &ids).await?.into_iter().collect();
    appointments.retain(|a| known.insert(a.grant_id));
    let orgs: Vec<Uuid> =
        appointments.iter().map(|a| a.org_id.0).collect::<HashSet<_>>().into_iter().collect();
    let mut seats = posts::lock_of_orgs(tx.conn, &orgs).await?;
    seats.sort_by(|a, b| a.number.cmp(&b.number));
    let people: Vec<Uuid> = appointments.iter().map(|a| a.person_id.0).collect();
    let mut holders = workers::of_people(tx.conn, &people).await?;
    let before = holders.len();
    let topology = setup.topology.load();
    let (mut taken, mut further) = (Vec::new(), Vec::new());
    for appointment in appointments {
        let area = UnitId(uuid("unit_id", &appointment.grant.unit_id)?);
        if let Some(worker_id) = appointment.holder(&holders, &seats) {
            further.push(Further { grant_id: appointment.grant_id, worker_id, area_unit_id: area });
            continue;
        }
        let org = topology.org(appointment.org_id.0);
        let unit = org.as_ref().map_or(area, |org| UnitId(org.unit_id));
        let name = org.map_or_else(|| appointment.org_id.to_string(), |org| org.code.clone());
        let seat = appointment.seat(&mut seats, unit, &name);
        holders.push(appointment.worker(&seat, area, setup.auto_accept));
        taken.push(seat);
    }
    taken.sort_by_key(|post| post.id);
    posts::write(tx.conn, &taken, tx.now).await?;
    workers::insert(tx.conn, &holders.split_off(before), tx.now).await?;
    grants::add(tx.conn, &further).await?;
    Ok(taken)
}

impl<'a> Appointment<'a> {
    fn of(grant: &'a RoleGranted) -> Result<Option<Self>> {
        let line = Some(grant.line.clone()).filter(|line| !line.is_empty());
        let template = match grant.role() {
            Role::Unspecified => None,
            role => templates().post_for(role, line.as_deref()),
        };
        // Without an organisation there is nobody to work for.
        let Some(template) = template.filter(|_| !grant.org_id.is_empty()) else { return Ok(None) };
        let grant_id = GrantId(uuid("grant_id", &grant.grant_id)?);
        let person_id = PersonId(uuid("person_id", &grant.person_id)?);
        let org_id = OrgId(uuid("org_id", &grant.org_id)?);
        Ok(Some(Self { grant, grant_id, person_id, org_id, line, template }))
    }

    /// Whether it is for such a seat.
    fn fits(&self, post: &Post) -> bool {
        post.org_id == self.org_id && post.template == self.template.code && post.line == self.line
    }

    /// Who does this work by another grant already. The organisation tells, not the area: it stays what it is when its
    /// unit is merged, and whoever works for it may be asked wherever it works.
    fn holder(&self, workers: &[Worker], seats: &[Post]) -> Option<WorkerId> {
        let on_it = |worker: &Worker| seats.iter().any(|post| post.id == worker.post_id && self.fits(post));
        workers.iter().find(|w| w.person_id == self.person_id && on_it(w)).map(|w| w.id)
    }

    /// A free seat of the template, else a new one.
    fn seat(&self, seats: &mut Vec<Post>, unit_id: UnitId, org_name: &str) -> Post {
        if let Some(free) = seats.iter_mut().find(|post| self.fits(post) && post.state.is_free()) {
            free.state = PostState::Filled;
            return free.clone();
        }
        let code = &self.template.code;
        let number = (1..)
            .map(|n| format!("{code}/{org_name}/{n}"))
            .find(|number| seats.iter().all(|post| post.number != *number))
            .unwrap_or_else(|| format!("{code}/{org_name}/{}", self.grant_id));
        let post = Post {
            id: PostId(new_id()),
            number,
            kind: self.template.kind,
            org_id: self.org_id,
            unit_id,
            line: self.line.clone(),
            template: code.clone(),
            state: PostState::Filled,
            daily_minutes: self.template.daily_minutes,
            max_open: self.template.max_open,
        };
        seats.push(post.clone());
        post
    }

    fn worker(&self, post: &Post, area_unit_id: UnitId, auto_accept: bool) -> Worker {
        Worker {
            id: WorkerId(new_id()),
            person_id: self.person_id,
            worker_ref: self.grant.person_ref.clone(),
            post_id: post.id,
            grant_id: Some(self.grant_id),
            kind: post.kind,
            org_id: post.org_id,
            unit_id: post.unit_id,
            line: post.line.clone(),
            area_unit_id,
            skills: templates().skills_of(self.template, self.line.as_deref()),
            auto_accept,
            daily_minutes: post.daily_minutes,
            max_open: post.max_open,
            roster: self.template.per.clone(),
            active: true,
            open_count: 0,
            open_minutes: 0,
            last_offered_at: None,
        }
    }
}

/// An id in an event. One that is none is a defect of the sender, which parks the event.
pub(crate) fn uuid(field: &str, text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::internal(format!("{field} of an event is no id")))
}
