//! `CatalogueService`: what residents may ask for, and by when it is done. Public.

use chassis::{
    Error, RpcResult, page,
    proto::case_routing::v1::{self as pb, catalogue_service_server::CatalogueService},
};
use tonic::{Request, Response};

use super::{convert, desk::Desk, parse};

/// The RPCs.
#[derive(Clone)]
pub struct Catalogue(pub Desk);

#[tonic::async_trait]
impl CatalogueService for Catalogue {
    async fn list_service_items(
        &self,
        request: Request<pb::ListServiceItemsRequest>,
    ) -> RpcResult<pb::ListServiceItemsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let after: Option<String> = page::decode(&request.page_token)?;
        let category = parse::filter("category", &request.category)?;
        let world = self.0.atlas.world();
        let mut items: Vec<_> = world
            .items()
            .all_at(self.0.clock.now())
            .filter(|found| after.as_ref().is_none_or(|after| found.item.item_code > *after))
            .filter(|found| category.as_ref().is_none_or(|category| found.item.category == *category))
            .take(usize::try_from(size + 1).unwrap_or(usize::MAX))
            .collect();
        let next_page_token = page::cut(&mut items, size, |found| found.item.item_code.clone());
        let items = items.into_iter().map(convert::item).collect();
        Ok(Response::new(pb::ListServiceItemsResponse { items, next_page_token }))
    }

    async fn get_service_item(
        &self,
        request: Request<pb::GetServiceItemRequest>,
    ) -> RpcResult<pb::GetServiceItemResponse> {
        let code = request.into_inner().item_code;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if code.is_empty() || code.len() > 64 || !code.chars().all(plain) {
            return Err(Error::invalid("item_code", "is not the code of an item").into());
        }
        let world = self.0.atlas.world();
        let item = world.items().edition(&code, self.0.clock.now());
        let item = item.ok_or_else(|| Error::not_found("service_item", &code))?;
        Ok(Response::new(pb::GetServiceItemResponse { item: Some(convert::item(item)) }))
    }
}
