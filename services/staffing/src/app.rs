//! Wires the service: store, executor, handlers, consumer, sweeper, digests.

use chassis::{
    RoutesBuilder,
    command::{Executor, ExecutorConfig},
    lifecycle::{Built, Context, Service},
};
use diesel_migrations::EmbeddedMigrations;
use proto::staffing::v1::{
    assignment_service_server::AssignmentServiceServer,
    duty_resource_service_server::DutyResourceServiceServer,
    workforce_service_server::WorkforceServiceServer,
};

use crate::{
    config::Config,
    consumer::StaffingConsumer,
    desk::Setup,
    digest::TaskDigests,
    rpc::{AssignmentRpc, DutyRpc, WorkforceRpc},
    seed, store, sweeper,
    working_days::WorkingDays,
};

/// The staffing service.
#[derive(Debug)]
pub struct App;

impl Service for App {
    const NAME: &'static str = "staffing";

    fn migrations() -> EmbeddedMigrations {
        store::MIGRATIONS
    }

    async fn build(context: Context) -> anyhow::Result<Built> {
        let config: Config = context.config.section()?;
        seed::templates(); // a template that cannot be read is found here, not at the first event
        let setup = Setup {
            topology: context.topology.clone(),
            terms: config.terms(),
            days: WorkingDays::open(&context.db).await?,
            auto_accept: config.auto_accept,
        };
        let executor = Executor::new(
            context.db.clone(),
            store::AssignmentStore,
            ExecutorConfig::from(&context.config.spine),
        );
        let assignments = AssignmentRpc::new(context.db.clone(), setup.clone(), executor);
        let workforce = WorkforceRpc::new(context.db.clone(), setup.clone());
        let mut routes = RoutesBuilder::default();
        routes
            .add_service(AssignmentServiceServer::new(assignments))
            .add_service(WorkforceServiceServer::new(workforce))
            .add_service(DutyResourceServiceServer::new(DutyRpc::new(context.db.clone(), setup.clone())));
        let sweeping = sweeper::run(
            context.db.clone(),
            context.clock.clone(),
            setup.clone(),
            config,
            context.stop.clone(),
        );
        Ok(Built::new(routes)
            .consumer(StaffingConsumer::new(setup))
            .background(sweeping)
            .digests(TaskDigests::new(context.db)))
    }
}
