//! Wires the service.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chassis::{
    Built, Context, RoutesBuilder, Service,
    auth::Caller,
    command::{Executor, ExecutorConfig},
    proto::case_routing::v1::{
        application_service_server::ApplicationServiceServer, calendar_service_server::CalendarServiceServer,
        case_service_server::CaseServiceServer,
        catalogue_maintenance_service_server::CatalogueMaintenanceServiceServer,
        catalogue_service_server::CatalogueServiceServer, classify_service_server::ClassifyServiceServer,
        duty_service_server::DutyServiceServer, exchange_service_server::ExchangeServiceServer,
        hotspot_service_server::HotspotServiceServer, import_service_server::ImportServiceServer,
        intake_service_server::IntakeServiceServer, mediation_service_server::MediationServiceServer,
        patrol_service_server::PatrolServiceServer,
        responsibility_service_server::ResponsibilityServiceServer, task_service_server::TaskServiceServer,
        verification_service_server::VerificationServiceServer,
    },
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::{
    atlas::{Atlas, Settings},
    benefit_sweeper::BenefitSweeper,
    config::Config,
    consumer::Events,
    digest::Digests,
    duty_sweeper::DutySweeper,
    exchange::{
        courier::{Courier, Meters},
        telling::Teller,
    },
    indexer::Indexer,
    mediation_sweeper::MediationSweeper,
    models::Models,
    notice::TrustedKey,
    recount::Recounter,
    rpc::{
        Applications, Calendars, Cases, Catalogue, CatalogueVersions, Classify, Desk, DutyRpc, Exchange,
        Hotspots, Imports, Intake, Mediations, Patrols, Responsibilities, Tasks, Verifications,
    },
    store::duties::DutyStore,
    sweeper::Sweeper,
    webhook::{Networks, Poster},
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The service.
pub struct App;

impl Service for App {
    const NAME: &'static str = "case-routing";

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    async fn build(ctx: Context) -> anyhow::Result<Built> {
        let config: Config = ctx.config.section()?;
        let trusted = match config.calendar_key.as_str() {
            "" => None,
            key => Some(TrustedKey::parse(key).context("services.case-routing.calendar_key")?),
        };
        let settings = Settings {
            joint_body: config.joint_body.clone(),
            mediation_days: config.mediation_days,
            mediation_follow_up_days: config.mediation_follow_up_days,
        };
        let atlas = Atlas::open(&ctx.db, ctx.topology.clone(), ctx.clock.clone(), settings).await?;
        let executor = ExecutorConfig::from(&ctx.config.spine);
        let desk = Desk::new(
            ctx.db.clone(),
            executor.clone(),
            Arc::clone(&atlas),
            ctx.crypto.clone(),
            ctx.clock.clone(),
        );
        let models = Models::open(&ctx.db, config.classify_threshold).await?;
        let desk = Desk { duplicate_days: config.duplicate_days, models: models.clone(), ..desk };
        let store = DutyStore { topology: ctx.topology.clone() };
        let duties = Executor::new(ctx.db.clone(), store, ExecutorConfig { writers: 1, ..executor.clone() });
        let networks =
            Arc::new(Networks::of(&config.webhook).context("services.case-routing.webhook.networks")?);
        let teller = Teller::default();
        let courier = Courier {
            db: ctx.db.clone(),
            atlas: atlas.clone(),
            executor: desk.executor.clone(),
            by: Caller::system(Self::NAME),
            clock: ctx.clock.clone(),
            crypto: ctx.crypto.clone(),
            poster: Poster::new(&config.webhook, networks.clone())?,
            teller: teller.clone(),
            backoff: config.webhook.backoff(),
            config: config.webhook.clone(),
            meters: Meters::default(),
        };
        let pause = Duration::from_millis(config.sweep_ms.max(10));
        let benefits = BenefitSweeper::new(desk.clone(), Self::NAME, pause);
        let cases = desk.executor.store().clone();
        let mut routes = RoutesBuilder::default();
        routes
            .add_service(CaseServiceServer::new(Cases(desk.clone())))
            .add_service(IntakeServiceServer::new(Intake(desk.clone())))
            .add_service(TaskServiceServer::new(Tasks(desk.clone())))
            .add_service(VerificationServiceServer::new(Verifications(desk.clone())))
            .add_service(ApplicationServiceServer::new(Applications::new(desk.clone(), executor)))
            .add_service(MediationServiceServer::new(Mediations::new(desk.clone())))
            .add_service(CatalogueServiceServer::new(Catalogue(desk.clone())))
            .add_service(ClassifyServiceServer::new(Classify(desk.clone())))
            .add_service(CatalogueMaintenanceServiceServer::new(CatalogueVersions(Responsibilities(
                desk.clone(),
            ))))
            .add_service(CalendarServiceServer::new(Calendars::new(desk.clone(), trusted)))
            .add_service(PatrolServiceServer::new(Patrols {
                desk: desk.clone(),
                sample_percent: config.sample_percent.min(100),
            }))
            .add_service(HotspotServiceServer::new(Hotspots(desk.clone())))
            .add_service(DutyServiceServer::new(DutyRpc { desk: desk.clone(), duties: duties.clone() }))
            .add_service(ImportServiceServer::new(Imports(desk.clone())))
            .add_service(ExchangeServiceServer::new(Exchange::new(desk.clone(), teller, networks)))
            .add_service(ResponsibilityServiceServer::new(Responsibilities(desk)));
        let sweeper = Sweeper::new(ctx.db.clone(), atlas.clone(), ctx.clock.clone(), Self::NAME, pause);
        let days = MediationSweeper::new(ctx.db.clone(), atlas.clone(), ctx.clock.clone(), Self::NAME, pause);
        let due = DutySweeper {
            db: ctx.db.clone(),
            duties: duties.clone(),
            clock: ctx.clock.clone(),
            by: Caller::system(Self::NAME),
            pause,
        };
        let count = Duration::from_millis(config.load_ms.max(10));
        let recounter = Recounter::new(ctx.db.clone(), atlas.clone(), Self::NAME, pause);
        let indexer = Indexer::new(ctx.db.clone(), pause);
        let digests = Digests::new(ctx.db.clone());
        Ok(Built::new(routes)
            .consumer(Events::new(atlas.clone(), cases, duties, Self::NAME))
            .background(atlas.keep_counting(ctx.db.clone(), count, ctx.stop.clone()))
            .background(models.keep_current(ctx.db.clone(), pause, ctx.stop.clone()))
            .background(sweeper.run(ctx.stop.clone()))
            .background(days.run(ctx.stop.clone()))
            .background(due.run(ctx.stop.clone()))
            .background(benefits.run(ctx.stop.clone()))
            .background(recounter.run(ctx.stop.clone()))
            .background(indexer.run(ctx.stop.clone()))
            .background(courier.run(ctx.stop.clone()))
            .background(digests.clone().let_go(ctx.stop.clone()))
            .digests(digests))
    }
}
