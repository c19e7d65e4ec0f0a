//! The gRPC surface: definitions, indicators, the board, hot spots, rebuild and digest. Handlers are short; what they answer is
//! computed in the domain from sums the store reads.

mod board;
mod convert;
mod definitions;
mod hotspots;
mod indicators;
mod kept;
mod maintenance;
mod making;
mod period;
mod processes;
mod reach;

use std::sync::Arc;

use chassis::{Clock, Context, RpcResult, auth::Caller, db::Db, topology};
use proto::analytics::v1::{
    GetBoardRequest, GetBoardResponse, GetRollupDigestRequest, GetRollupDigestResponse,
    ListIndicatorDefinitionsRequest, ListIndicatorDefinitionsResponse, QueryIndicatorsRequest,
    QueryIndicatorsResponse, RebuildRollupsRequest, RebuildRollupsResponse,
    indicator_service_server::IndicatorService,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, async_trait};

pub use self::hotspots::Hotspots;
pub use self::processes::Processes;
use self::{
    board::{Asked, Counted},
    kept::Kept,
    making::Making,
};
use crate::rebuild::Progress;

/// How many boards are kept, by unit, lines and period.
const MOST_BOARDS: usize = 256;

/// Serves `jianghan.analytics.v1.IndicatorService`.
pub struct Indicators {
    db: Db,
    clock: Clock,
    topology: Arc<topology::Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    progress: Arc<Progress>,
    digests: Making,
    boards: Kept<Asked, Counted>,
}

impl Indicators {
    /// From the service's context.
    pub fn new(context: &Context) -> Self {
        Self {
            db: context.db.clone(),
            clock: context.clock.clone(),
            topology: context.topology.clone(),
            tasks: context.tasks.clone(),
            stop: context.stop.clone(),
            progress: Arc::default(),
            digests: Making::default(),
            boards: Kept::new(MOST_BOARDS),
        }
    }
}

#[async_trait]
impl IndicatorService for Indicators {
    async fn list_indicator_definitions(
        &self,
        request: Request<ListIndicatorDefinitionsRequest>,
    ) -> RpcResult<ListIndicatorDefinitionsResponse> {
        Ok(Response::new(definitions::list(&request.into_inner())?))
    }

    async fn query_indicators(
        &self,
        request: Request<QueryIndicatorsRequest>,
    ) -> RpcResult<QueryIndicatorsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.query(&caller, request.into_inner()).await?))
    }

    async fn get_board(&self, request: Request<GetBoardRequest>) -> RpcResult<GetBoardResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.board(&caller, request.into_inner()).await?))
    }

    async fn rebuild_rollups(
        &self,
        request: Request<RebuildRollupsRequest>,
    ) -> RpcResult<RebuildRollupsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.rebuild(caller, request.into_inner()).await?))
    }

    async fn get_rollup_digest(
        &self,
        request: Request<GetRollupDigestRequest>,
    ) -> RpcResult<GetRollupDigestResponse> {
        Ok(Response::new(self.digest(&request.into_inner()).await?))
    }
}
