//! Wires the service.

use chassis::{Built, Context, RoutesBuilder, Service};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use proto::analytics::v1::{
    hotspot_service_server::HotspotServiceServer, indicator_service_server::IndicatorServiceServer,
    process_service_server::ProcessServiceServer,
};

use crate::{
    consumer::Intake,
    digest::Digests,
    hotspots, keeping,
    rpc::{Hotspots, Indicators, Processes},
};

/// The analytics service.
#[derive(Debug)]
pub struct App;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

impl Service for App {
    const NAME: &'static str = "analytics";

    /// Whoever rebuilds or mends holds the event log for a while, and nothing is wrong with the events that wait for it.
    const PATIENT: bool = true;

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    async fn build(context: Context) -> anyhow::Result<Built> {
        keeping::keep(&context.db, &context.clock).await?;
        let mut routes = RoutesBuilder::default();
        routes
            .add_service(IndicatorServiceServer::new(Indicators::new(&context)))
            .add_service(HotspotServiceServer::new(Hotspots::new(&context)))
            .add_service(ProcessServiceServer::new(Processes::new(&context)));
        Ok(Built::new(routes)
            .consumer(Intake::default())
            .bulk()
            .digests(Digests::new(context.db.clone()))
            .background(keeping::run(context.db.clone(), context.clock.clone(), context.stop.clone()))
            .background(hotspots::run(context.db, context.clock, context.topology, context.stop)))
    }
}
