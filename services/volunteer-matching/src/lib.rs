//! volunteer-matching: partners and volunteers, offers made to them, and the hours they serve. Partners are invited,
//! never ordered; nothing here moves a case, case-routing does when it hears of an answer.

mod consumer;
mod digest;
pub mod domain;
mod rpc;
mod seed;
mod store;

use std::{process::ExitCode, sync::Arc};

use chassis::{
    Built, Context, RoutesBuilder,
    command::ExecutorConfig,
    proto::volunteer_matching::v1::{
        offer_service_server::OfferServiceServer, volunteer_service_server::VolunteerServiceServer,
    },
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The service.
pub struct App;

/// The service as a process of its own. The whole `main` of its binary.
pub fn run() -> ExitCode {
    chassis::run::<App>()
}

impl chassis::Service for App {
    const NAME: &'static str = "volunteer-matching";

    fn migrations() -> EmbeddedMigrations {
        MIGRATIONS
    }

    async fn build(ctx: Context) -> anyhow::Result<Built> {
        let partners = Arc::new(seed::Partners::shipped()?);
        let config = ExecutorConfig::from(&ctx.config.spine);
        let shelf = rpc::Shelf::new(ctx.db.clone(), config, ctx.topology.clone(), partners.clone());
        let mut routes = RoutesBuilder::default();
        routes
            .add_service(OfferServiceServer::new(rpc::Offers(shelf.clone())))
            .add_service(VolunteerServiceServer::new(rpc::Volunteers(shelf)));
        Ok(Built::new(routes)
            .consumer(consumer::Events::new(ctx.topology.clone(), partners))
            .digests(digest::Digests(ctx.db.clone())))
    }
}
