//! How the operator's commands reach a running suite: the address book, sessions of seeded accounts, and typed
//! clients. It speaks gRPC only; it must never touch a service's database.

#[cfg(test)]
pub mod fake;
mod session;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use gateway::MAX_ANSWER;
use proto::{
    analytics::v1::{
        hotspot_service_client::HotspotServiceClient, indicator_service_client::IndicatorServiceClient,
        process_service_client::ProcessServiceClient,
    },
    case_routing::v1::{
        application_service_client::ApplicationServiceClient, calendar_service_client::CalendarServiceClient,
        case_service_client::CaseServiceClient,
        catalogue_maintenance_service_client::CatalogueMaintenanceServiceClient,
        catalogue_service_client::CatalogueServiceClient, classify_service_client::ClassifyServiceClient,
        duty_service_client::DutyServiceClient, exchange_service_client::ExchangeServiceClient,
        import_service_client::ImportServiceClient, intake_service_client::IntakeServiceClient,
        mediation_service_client::MediationServiceClient,
        responsibility_service_client::ResponsibilityServiceClient, task_service_client::TaskServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    identity::v1::{
        auth_service_client::AuthServiceClient, duty_authority_service_client::DutyAuthorityServiceClient,
        person_service_client::PersonServiceClient, topology_service_client::TopologyServiceClient,
    },
    ops::v1::ops_service_client::OpsServiceClient,
    staffing::v1::{
        assignment_service_client::AssignmentServiceClient,
        duty_resource_service_client::DutyResourceServiceClient,
        workforce_service_client::WorkforceServiceClient,
    },
    volunteer_matching::v1::{
        offer_service_client::OfferServiceClient, volunteer_service_client::VolunteerServiceClient,
    },
};
use serde::{Deserialize, Serialize};
use tonic::transport::Channel;

pub use self::session::Session;
use crate::patience::Patient;

/// Where the services listen, as `http://host:port`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// identity
    pub identity: String,
    /// case-routing
    pub case_routing: String,
    /// staffing
    pub staffing: String,
    /// volunteer-matching
    pub volunteer_matching: String,
    /// analytics
    pub analytics: String,
    /// gateway (HTTP)
    pub gateway: String,
}

impl Addresses {
    /// The address book of a suite whose gateway listens on `port` (gRPC ports follow at +21 … +25).
    pub fn local(port: u16) -> Self {
        let at = |offset: u16| format!("http://127.0.0.1:{}", port + offset);
        Self {
            identity: at(21),
            case_routing: at(22),
            staffing: at(23),
            volunteer_matching: at(24),
            analytics: at(25),
            gateway: at(0),
        }
    }

    /// All of it at one address.
    #[cfg(test)]
    pub fn all_at(address: &str) -> Self {
        let at = || address.to_owned();
        Self {
            identity: at(),
            case_routing: at(),
            staffing: at(),
            volunteer_matching: at(),
            analytics: at(),
            gateway: at(),
        }
    }

    /// Where a service listens.
    pub fn of(&self, service: &str) -> &str {
        match service {
            "identity" => &self.identity,
            "case-routing" => &self.case_routing,
            "staffing" => &self.staffing,
            "volunteer-matching" => &self.volunteer_matching,
            _ => &self.analytics,
        }
    }

    /// Replaces what `JIANGHAN_ADDR_<SERVICE>` names in the environment.
    pub fn with_environment(mut self) -> Self {
        let take = |name: &str, slot: &mut String| {
            if let Ok(value) = std::env::var(name) {
                *slot = value;
            }
        };
        take("JIANGHAN_ADDR_IDENTITY", &mut self.identity);
        take("JIANGHAN_ADDR_CASE_ROUTING", &mut self.case_routing);
        take("JIANGHAN_ADDR_STAFFING", &mut self.staffing);
        take("JIANGHAN_ADDR_VOLUNTEER_MATCHING", &mut self.volunteer_matching);
        take("JIANGHAN_ADDR_ANALYTICS", &mut self.analytics);
        take("JIANGHAN_ADDR_GATEWAY", &mut self.gateway);
        self
    }
}

/// One seeded account, as `jianghan up` writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Sign-in name.
    pub login: String,
    /// Generated password.
    pub password: String,
    /// Role in snake_case, such as `street_leader`.
    pub role: String,
    /// Person id.
    pub person_id: String,
    /// Pseudonym, as it appears in assignments and timelines.
    pub actor_ref: String,
    /// Code of the unit the grant covers.
    pub unit_code: String,
    /// Code of the organisation the account acts for; empty for residents.
    #[serde(default)]
    pub org_code: String,
    /// Line of the grant; empty means all.
    #[serde(default)]
    pub line: String,
    /// The accounts file that it was read from.
    #[serde(skip)]
    pub file: PathBuf,
}

#[cfg(test)]
impl Account {
    /// Somebody of a role whom no suite knows.
    pub fn stranger(role: &str) -> Self {
        Self {
            login: "stranger".to_owned(),
            password: "none".to_owned(),
            role: role.to_owned(),
            person_id: String::new(),
            actor_ref: String::new(),
            unit_code: String::new(),
            org_code: String::new(),
            line: String::new(),
            file: PathBuf::new(),
        }
    }
}

/// The accounts file: addresses and passwords of one running suite. Kept at 0600.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountsFile {
    /// Where the suite listens.
    pub addresses: Addresses,
    /// Everyone who can sign in.
    pub accounts: Vec<Account>,
}

impl AccountsFile {
    /// Reads the file; the error says how to get one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read the accounts file {}; `infra/up` writes it, or name it with --accounts",
                path.display()
            )
        })?;
        let read = serde_json::from_str(&text);
        let mut read: Self = read.with_context(|| format!("{} is not an accounts file", path.display()))?;
        for account in &mut read.accounts {
            path.clone_into(&mut account.file);
        }
        Ok(read)
    }
}

/// Channels to the five services.
#[derive(Clone)]
pub struct Suite {
    identity: Patient,
    case_routing: Patient,
    staffing: Patient,
    volunteer_matching: Patient,
    analytics: Patient,
}

/// The services, in the order in which reports list them.
pub const SERVICES: [&str; 5] = ["identity", "case-routing", "staffing", "volunteer-matching", "analytics"];

/// Results of a call: the status is kept, because callers act on its code.
pub type Rpc<T> = std::result::Result<T, tonic::Status>;

impl Suite {
    /// Lazy channels: nothing is connected before the first call. A failing call fails at once.
    pub fn new(addresses: &Addresses) -> Result<Self> {
        Self::patient(addresses, Duration::ZERO)
    }

    /// Lazy channels that send a call again while a service is away or overloaded, for at most `patience`.
    pub fn patient(addresses: &Addresses, patience: Duration) -> Result<Self> {
        let channel = |address: &str| -> Result<Patient> {
            let channel = Channel::from_shared(address.to_owned())
                .with_context(|| format!("`{address}` is not an address"))?
                .tcp_nodelay(true)
                .connect_timeout(Duration::from_secs(5))
                .timeout(Duration::from_secs(30))
                .connect_lazy();
            Ok(Patient::new(channel, patience))
        };
        Ok(Self {
            identity: channel(&addresses.identity)?,
            case_routing: channel(&addresses.case_routing)?,
            staffing: channel(&addresses.staffing)?,
            volunteer_matching: channel(&addresses.volunteer_matching)?,
            analytics: channel(&addresses.analytics)?,
        })
    }

    fn channel(&self, service: &str) -> Patient {
        match service {
            "identity" => &self.identity,
            "case-routing" => &self.case_routing,
            "staffing" => &self.staffing,
            "volunteer-matching" => &self.volunteer_matching,
            _ => &self.analytics,
        }
        .clone()
    }

    /// Sign-in and keys.
    pub fn auth(&self) -> AuthServiceClient<Patient> {
        AuthServiceClient::new(self.identity.clone())
    }
    /// People and their roles.
    pub fn people(&self) -> PersonServiceClient<Patient> {
        PersonServiceClient::new(self.identity.clone())
    }
    /// Units, organisations and edges.
    pub fn topology(&self) -> TopologyServiceClient<Patient> {
        TopologyServiceClient::new(self.identity.clone())
    }
    /// Registration, reading, rating.
    pub fn cases(&self) -> CaseServiceClient<Patient> {
        CaseServiceClient::new(self.case_routing.clone()).max_decoding_message_size(MAX_ANSWER)
    }
    /// Service applications and public notices.
    pub fn applications(&self) -> ApplicationServiceClient<Patient> {
        ApplicationServiceClient::new(self.case_routing.clone())
    }
    /// Acceptance, triage, dispatch.
    pub fn intake(&self) -> IntakeServiceClient<Patient> {
        IntakeServiceClient::new(self.case_routing.clone())
    }
    /// Signing, handling, completing.
    pub fn tasks(&self) -> TaskServiceClient<Patient> {
        TaskServiceClient::new(self.case_routing.clone())
    }
    /// Verification and judgement.
    pub fn verification(&self) -> VerificationServiceClient<Patient> {
        VerificationServiceClient::new(self.case_routing.clone())
    }
    /// Mediation of disputes.
    pub fn mediations(&self) -> MediationServiceClient<Patient> {
        MediationServiceClient::new(self.case_routing.clone())
    }
    /// Service items.
    pub fn catalogue(&self) -> CatalogueServiceClient<Patient> {
        CatalogueServiceClient::new(self.case_routing.clone())
    }
    /// Cases of other systems.
    pub fn imports(&self) -> ImportServiceClient<Patient> {
        ImportServiceClient::new(self.case_routing.clone())
    }

    /// The classifier in force.
    pub fn classifier(&self) -> ClassifyServiceClient<Patient> {
        ClassifyServiceClient::new(self.case_routing.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// The catalogue's versions.
    pub fn catalogue_versions(&self) -> CatalogueMaintenanceServiceClient<Patient> {
        CatalogueMaintenanceServiceClient::new(self.case_routing.clone())
    }
    /// Working days and notices.
    pub fn calendar(&self) -> CalendarServiceClient<Patient> {
        CalendarServiceClient::new(self.case_routing.clone())
    }
    /// Workers' assignments.
    pub fn assignments(&self) -> AssignmentServiceClient<Patient> {
        AssignmentServiceClient::new(self.staffing.clone())
    }
    /// Posts, workers, shifts.
    pub fn workforce(&self) -> WorkforceServiceClient<Patient> {
        WorkforceServiceClient::new(self.staffing.clone())
    }
    /// Offers to partners.
    pub fn offers(&self) -> OfferServiceClient<Patient> {
        OfferServiceClient::new(self.volunteer_matching.clone())
    }
    /// Partners' volunteers.
    pub fn volunteers(&self) -> VolunteerServiceClient<Patient> {
        VolunteerServiceClient::new(self.volunteer_matching.clone())
    }
    /// Indicators and the board.
    pub fn indicators(&self) -> IndicatorServiceClient<Patient> {
        IndicatorServiceClient::new(self.analytics.clone())
    }
    /// Process versions, and how they compare.
    pub fn processes(&self) -> ProcessServiceClient<Patient> {
        ProcessServiceClient::new(self.analytics.clone())
    }

    /// What was found to be more than usual.
    pub fn hotspots(&self) -> HotspotServiceClient<Patient> {
        HotspotServiceClient::new(self.analytics.clone())
    }
    /// Responsibility lists, and decisions made anew.
    pub fn responsibilities(&self) -> ResponsibilityServiceClient<Patient> {
        ResponsibilityServiceClient::new(self.case_routing.clone())
    }
    /// Transfers of duties, admissions, and what communities refuse.
    pub fn duties(&self) -> DutyServiceClient<Patient> {
        DutyServiceClient::new(self.case_routing.clone())
    }
    /// Other systems, their tickets, and what they hear.
    pub fn exchange(&self) -> ExchangeServiceClient<Patient> {
        ExchangeServiceClient::new(self.case_routing.clone())
    }
    /// Authority that duties ask for.
    pub fn duty_authorities(&self) -> DutyAuthorityServiceClient<Patient> {
        DutyAuthorityServiceClient::new(self.identity.clone())
    }
    /// Money and posts that duties ask for.
    pub fn duty_resources(&self) -> DutyResourceServiceClient<Patient> {
        DutyResourceServiceClient::new(self.staffing.clone())
    }
    /// One service's operations.
    pub fn ops(&self, service: &str) -> OpsServiceClient<Patient> {
        OpsServiceClient::new(self.channel(service))
    }
}

/// A fresh idempotency key.
pub fn request_id() -> String {
    chassis::clock::new_id().to_string()
}
