//! A small district with people of every role that identity's RPCs know, over real gRPC and a real database.

use std::collections::HashMap;

use argon2::{Argon2, PasswordHasher, password_hash::phc::PasswordHash};
use chassis::{
    Timestamp,
    auth::Role,
    clock::new_id,
    config::ServiceConfig,
    db::Tx,
    grpc::PeerChannel,
    testing::{Builder, TestService},
};
use identity::{
    App,
    domain::{
        GrantId, OrgId, PersonId, UnitId, facts,
        grant::{RoleGrant, RoleGrantState},
        organization::{Organization, OrganizationKind},
        personal::NewPerson,
        unit::{NewUnit, Unit, UnitKind},
    },
    store::{accounts, grants, organizations, people::People, units},
};
use proto::identity::v1::{
    SignInRequest, SignInResponse, auth_service_client::AuthServiceClient,
    duty_authority_service_client::DutyAuthorityServiceClient, person_service_client::PersonServiceClient,
    topology_service_client::TopologyServiceClient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

/// Everybody's password; hashed once for the whole test process.
pub const PASSWORD: &str = "correct-horse-battery";

/// The small district.
pub struct World {
    /// The service.
    pub service: TestService<App>,
    /// Units by short name: `city`, `district`, `street1`, `street2`, `community1` (of street 1), `community2` (of 2).
    pub units: HashMap<&'static str, UnitId>,
    /// Organisations by short name.
    pub orgs: HashMap<&'static str, OrgId>,
    /// People by login.
    pub people: HashMap<&'static str, PersonId>,
}

impl World {
    /// Starts the service and fills its database.
    pub async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    /// With a changed configuration.
    pub async fn configured(change: impl FnOnce(&mut ServiceConfig) + Send + 'static) -> Self {
        Self::built(TestService::<App>::builder().configure(change)).await
    }

    /// With a service of one's own.
    pub async fn built(builder: Builder<App>) -> Self {
        let service = builder.start().await;
        let mut world = Self { service, units: HashMap::new(), orgs: HashMap::new(), people: HashMap::new() };
        world.fill().await;
        world.service.drain_outbox().await;
        world
    }

    async fn fill(&mut self) {
        use UnitKind as U;
        for (name, kind, parent) in [
            ("city", U::City, None),
            ("district", U::District, Some("city")),
            ("street1", U::Street, Some("district")),
            ("street2", U::Street, Some("district")),
            ("community1", U::Community, Some("street1")),
            ("community2", U::Community, Some("street2")),
        ] {
            self.add_unit(name, kind, parent).await;
        }
        use OrganizationKind as O;
        for (name, kind, unit, line) in [
            ("gov", O::Government, "district", None),
            ("civil", O::Department, "district", Some("civil_affairs")),
            ("office1", O::StreetOffice, "street1", None),
            ("office2", O::StreetOffice, "street2", None),
            ("station1", O::ServiceStation, "community1", None),
            ("committee1", O::Committee, "community1", None),
            ("garden", O::SocialOrg, "street1", None),
        ] {
            self.add_org(name, kind, unit, line).await;
        }
        for (login, role, unit, line) in [
            ("dispatcher", Role::DistrictDispatcher, "district", None),
            ("leader1", Role::StreetLeader, "street1", None),
            ("leader2", Role::StreetLeader, "street2", None),
            ("head1", Role::StationHead, "community1", None),
            ("worker1", Role::ServiceWorker, "community1", None),
            ("worker2", Role::ServiceWorker, "community2", None),
            ("lineworker", Role::ServiceWorker, "community1", Some("civil_affairs")),
            ("resident", Role::Resident, "community1", None),
            ("analyst", Role::Analyst, "district", None),
            ("arbiter", Role::Arbiter, "district", None),
            ("civilleader", Role::DeptLeader, "district", Some("civil_affairs")),
            ("otherleader", Role::DeptLeader, "district", Some("housing")),
            ("operator", Role::ItOperator, "district", None),
            ("sysadmin", Role::SystemAdmin, "district", None),
            ("secadmin1", Role::SecurityAdmin, "district", None),
            ("secadmin2", Role::SecurityAdmin, "district", None),
        ] {
            self.add_person(login, role, unit, line, None).await;
        }
    }

    async fn add_unit(&mut self, name: &'static str, kind: UnitKind, parent: Option<&str>) {
        let parent = match parent {
            Some(parent) => {
                let mut conn = self.service.db().conn().await.unwrap();
                units::get(&mut conn, self.units[parent]).await.unwrap()
            }
            None => None,
        };
        let new = NewUnit {
            code: format!("code-{name}"),
            code_system: "test".to_owned(),
            code_year: 2023,
            kind,
            name_zh: name.to_owned(),
            name_en: String::new(),
        };
        let unit = Unit::create(UnitId(new_id()), new, parent.as_ref(), self.service.clock().now()).unwrap();
        self.service
            .db()
            .transaction(async |tx: &mut Tx<'_>| units::insert(tx.conn, &unit).await)
            .await
            .unwrap();
        self.units.insert(name, unit.id);
    }

    async fn add_org(&mut self, name: &'static str, kind: OrganizationKind, unit: &str, line: Option<&str>) {
        let org = Organization {
            id: OrgId(new_id()),
            code: format!("org:{name}"),
            kind,
            name_zh: name.to_owned(),
            name_en: String::new(),
            unit_id: self.units[unit],
            line: line.map(str::to_owned),
            valid_from: self.service.clock().now(),
            valid_to: None,
            version: 1,
        };
        self.service
            .db()
            .transaction(async |tx: &mut Tx<'_>| organizations::insert(tx.conn, &org).await)
            .await
            .unwrap();
        self.orgs.insert(name, org.id);
    }

    /// A person with one grant, a login and [`PASSWORD`].
    pub async fn add_person(
        &mut self,
        login: &'static str,
        role: Role,
        unit: &str,
        line: Option<&str>,
        valid_to: Option<Timestamp>,
    ) -> GrantId {
        let (id, unit_id) = (PersonId(new_id()), self.units[unit]);
        let vault = People::new(self.service.context.crypto.clone());
        let person = NewPerson {
            name: format!("王{login}"),
            id_no: None,
            phone: None,
            birth_year: Some(1980),
            home_unit_id: unit_id,
            notice_version: "test".to_owned(),
        };
        let hash = password_hash().await;
        let real_now = self.service.clock().real_now();
        let grant = RoleGrant { valid_to, ..self.grant(id, role, unit, line) };
        let pseudonym = format!("p-{}", id.0.simple());
        let stored = self.service.db().transaction(async |tx: &mut Tx<'_>| {
            vault.insert(tx.conn, id, &person, None, &pseudonym, tx.now).await?;
            accounts::insert(tx.conn, login, id, hash, None, real_now).await?;
            tx.emit(facts::role_granted(&grant, &pseudonym));
            grants::insert(tx.conn, &grant).await
        });
        stored.await.unwrap();
        self.people.insert(login, id);
        grant.id
    }

    /// One more grant of somebody's, over every line.
    pub async fn add_grant(&self, login: &str, role: Role, unit: &str) {
        let id = self.people[login];
        let (grant, pseudonym) = (self.grant(id, role, unit, None), format!("p-{}", id.0.simple()));
        let stored = self.service.db().transaction(async |tx: &mut Tx<'_>| {
            tx.emit(facts::role_granted(&grant, &pseudonym));
            grants::insert(tx.conn, &grant).await
        });
        stored.await.unwrap();
    }

    fn grant(&self, person_id: PersonId, role: Role, unit: &str, line: Option<&str>) -> RoleGrant {
        RoleGrant {
            id: GrantId(new_id()),
            person_id,
            role,
            unit_id: self.units[unit],
            line: line.map(str::to_owned),
            org_id: None,
            purposes: None,
            valid_from: self.service.clock().now(),
            valid_to: None,
            state: RoleGrantState::Active,
            approved_by: vec![],
            told: true,
            version: 1,
        }
    }

    /// Signs in and gives the whole answer.
    pub async fn sign_in(&self, login: &str) -> SignInResponse {
        self.try_sign_in(login, PASSWORD).await.unwrap_or_else(|s| panic!("{login} cannot sign in: {s}"))
    }

    /// Tries to sign in.
    pub async fn try_sign_in(&self, login: &str, password: &str) -> Result<SignInResponse, Status> {
        let request = SignInRequest { login: login.to_owned(), password: password.to_owned() };
        self.auth_anonymously().sign_in(request).await.map(|r| r.into_inner())
    }

    /// A channel as somebody who signs in for it.
    pub async fn channel(&self, login: &str) -> PeerChannel {
        self.service.call_with(&self.sign_in(login).await.access_token)
    }

    /// Auth client without a token.
    pub fn auth_anonymously(&self) -> AuthServiceClient<PeerChannel> {
        AuthServiceClient::new(self.service.call_anonymously())
    }

    /// Auth client with a token.
    pub fn auth_with(&self, token: &str) -> AuthServiceClient<PeerChannel> {
        AuthServiceClient::new(self.service.call_with(token))
    }

    /// Person client as somebody.
    pub async fn persons(&self, login: &str) -> PersonServiceClient<PeerChannel> {
        PersonServiceClient::new(self.channel(login).await)
    }

    /// Topology client as somebody.
    pub async fn topology(&self, login: &str) -> TopologyServiceClient<PeerChannel> {
        TopologyServiceClient::new(self.channel(login).await)
    }

    /// Authority of duties, as somebody.
    pub async fn authorities(&self, login: &str) -> DutyAuthorityServiceClient<PeerChannel> {
        DutyAuthorityServiceClient::new(self.channel(login).await)
    }

    /// Text of a unit's id.
    pub fn unit(&self, name: &str) -> String {
        self.units[name].to_string()
    }

    /// Text of an organisation's id.
    pub fn org(&self, name: &str) -> String {
        self.orgs[name].to_string()
    }

    /// Text of a person's id.
    pub fn person(&self, login: &str) -> String {
        self.people[login].to_string()
    }

    /// Runs constant SQL without binds; gives how many rows it touched.
    pub async fn sql(&self, sql: &'static str) -> Result<usize, diesel::result::Error> {
        use diesel_async::RunQueryDsl;
        let mut conn = self.service.db().conn().await.unwrap();
        diesel::sql_query(sql).execute(&mut *conn).await
    }
}

/// A fresh request id.
pub fn request_id() -> String {
    new_id().to_string()
}

/// Fields that an `INVALID_ARGUMENT` names.
pub fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    let request = details.bad_request().expect("BadRequest is attached");
    request.field_violations.iter().map(|v| v.field.clone()).collect()
}

/// The code of a refusal.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> Code {
    answer.expect_err("it must be refused").code()
}

/// An id that nothing has.
pub fn nobody() -> String {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001).to_string()
}

async fn password_hash() -> &'static str {
    static HASH: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    HASH.get_or_init(|| async {
        let hash: PasswordHash = Argon2::default().hash_password(PASSWORD.as_bytes()).unwrap();
        hash.to_string()
    })
    .await
}

/// Every row of every table as text; bytes come as hex.
pub async fn dump(world: &World) -> String {
    use diesel::{QueryableByName, sql_types::Text};
    use diesel_async::RunQueryDsl;
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let mut conn = world.service.db().conn().await.unwrap();
    let tables: Vec<Line> =
        diesel::sql_query("SELECT tablename AS line FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            .load(&mut *conn)
            .await
            .unwrap();
    assert!(tables.len() > 10);
    let mut dump = String::new();
    for table in tables {
        let rows: Vec<Line> = diesel::sql_query(format!("SELECT t::text AS line FROM \"{}\" t", table.line))
            .load(&mut *conn)
            .await
            .unwrap();
        for row in rows {
            dump.push_str(&row.line);
            dump.push('\n');
        }
    }
    dump
}

/// Asserts that a text is in a dump neither as it is nor as the hex of its bytes.
pub fn assert_absent(dump: &str, canary: &str) {
    assert!(!dump.contains(canary), "{canary} stands in clear");
    let hex: String = canary.bytes().map(|b| format!("{b:02x}")).collect();
    assert!(!dump.contains(&hex), "{canary} stands in bytes");
}
