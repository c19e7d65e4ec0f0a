//! Reflection as `grpc.reflection.v1` tells it, over the descriptors of the suite and of health. They are taken apart once in a
//! process, however many services it holds.

use std::{
    convert::Infallible,
    sync::LazyLock,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::{body::Body, server::NamedService};
use tonic_reflection::{
    pb::v1::server_reflection_server::SERVICE_NAME,
    server::{Builder, Error},
};
use tower::{Service, util::BoxCloneSyncService};

/// The service, under a type that can be named. Its clones share what it tells.
#[derive(Clone, Debug)]
pub(super) struct Reflection(BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>);

impl Reflection {
    fn build() -> Result<Self, Error> {
        let server = Builder::configure()
            .register_encoded_file_descriptor_set(proto::BARE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        Ok(Self(BoxCloneSyncService::new(server)))
    }
}

impl NamedService for Reflection {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for Reflection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

static REFLECTION: LazyLock<Result<Reflection, Error>> = LazyLock::new(Reflection::build);

/// The service, made when it is first asked for.
///
/// # Errors
/// When the descriptors cannot be read, which the build rules out.
pub(super) fn reflection() -> Result<Reflection, &'static Error> {
    REFLECTION.as_ref().cloned()
}

#[cfg(test)]
mod tests {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    use super::*;

    #[tokio::test]
    async fn every_server_of_a_process_lists_the_services_of_the_suite_and_of_grpc() {
        for _server in 0..2 {
            let mut client = ServerReflectionClient::new(reflection().unwrap());
            let ask = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let asked = client.server_reflection_info(futures::stream::iter([ask])).await.unwrap();
            let answer = asked.into_inner().message().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = &answer.message_response else {
                panic!("{answer:?} is no list");
            };
            let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
            for name in ["jianghan.ops.v1.OpsService", "grpc.health.v1.Health", Reflection::NAME] {
                assert!(names.contains(&name), "{name} is not among {names:?}");
            }
        }
    }
}
