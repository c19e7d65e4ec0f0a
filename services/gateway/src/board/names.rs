//! Names of units, organisations and items for the pages. They are public reference data, kept for a minute.

use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::{
    case_routing::v1::{ListServiceItemsRequest, catalogue_service_client::CatalogueServiceClient},
    identity::v1::{
        ListOrganizationsRequest, ListUnitsRequest, topology_service_client::TopologyServiceClient,
    },
};
use tokio::{sync::Mutex, time::Instant};

use super::{lang::Lang, session::Session};
use crate::{App, export::unit_names};

const KEEP: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(3);

/// Chinese and English names by id or code.
type ByKey = HashMap<String, (String, String)>;

/// The names that pages show.
#[derive(Debug, Default)]
pub struct Names {
    /// Of units and organisations, by id.
    places: ByKey,
    /// Of the items in force, by code.
    items: ByKey,
}

impl Names {
    /// The name in a language; an unknown id is shown as it is.
    pub fn of(&self, id: &str, lang: Lang) -> String {
        match self.places.get(id) {
            Some((zh, en)) if lang == Lang::En && !en.is_empty() && en != zh => format!("{en} {zh}"),
            Some((zh, _)) => zh.clone(),
            None => id.to_owned(),
        }
    }

    /// How long they are kept; where one kind is missing altogether they are soon asked for again. Failures are kept
    /// too, or every page would wait for them again.
    fn kept(&self) -> Duration {
        if self.places.is_empty() || self.items.is_empty() { RETRY } else { KEEP }
    }

    /// An item's code with its name; the code alone of one that is not in force.
    pub fn item(&self, code: &str, lang: Lang) -> String {
        match self.items.get(code) {
            Some((zh, en)) => format!("{code} {}", lang.named(zh, en)),
            None => code.to_owned(),
        }
    }
}

/// Keeps the names.
#[derive(Debug, Default)]
pub struct NameCache(Mutex<Option<(Instant, Arc<Names>)>>);

impl NameCache {
    /// The names, fetched with the reader's own token when they are stale. While their service does not answer the old
    /// ones go on, or ids and codes stand in: a page is not refused for want of a name.
    pub async fn get(&self, app: &App, session: &Session) -> Arc<Names> {
        let mut held = self.0.lock().await;
        if let Some((since, names)) = held.as_ref()
            && since.elapsed() < names.kept()
        {
            return names.clone();
        }
        let old = held.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
        let (places, items) = tokio::join!(places(app, session), items(app, session));
        let names = Arc::new(Names { places: or_old(places, &old.places), items: or_old(items, &old.items) });
        *held = Some((Instant::now(), names.clone()));
        names
    }
}

fn or_old(fetched: Result<ByKey, tonic::Status>, old: &ByKey) -> ByKey {
    fetched.unwrap_or_else(|status| {
        tracing::warn!(code = ?status.code(), "names are not to be had just now");
        old.clone()
    })
}

async fn items(app: &App, session: &Session) -> Result<ByKey, tonic::Status> {
    let mut catalogue = CatalogueServiceClient::new(app.channel("case-routing"));
    let mut names = HashMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListServiceItemsRequest { page_size: 200, page_token, ..Default::default() };
        let page = catalogue.list_service_items(session.request(request)?).await?.into_inner();
        names.extend(page.items.into_iter().map(|item| (item.item_code, (item.name_zh, item.name_en))));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(names);
        }
    }
}

async fn places(app: &App, session: &Session) -> Result<ByKey, tonic::Status> {
    let mut topology = TopologyServiceClient::new(app.channel("identity"));
    let mut names = HashMap::new();
    let mut page_token = String::new();
    loop {
        // Cases stay where they were: at units that have been merged, too.
        let request =
            ListUnitsRequest { page_size: 200, page_token, include_ended: true, ..Default::default() };
        let page = topology.list_units(session.request(request)?).await?.into_inner();
        names.extend(page.units.iter().map(|unit| (unit.unit_id.clone(), unit_names(unit))));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut page_token = String::new();
    loop {
        let request = ListOrganizationsRequest { page_size: 200, page_token, ..Default::default() };
        let page = topology.list_organizations(session.request(request)?).await?.into_inner();
        names.extend(page.organizations.into_iter().map(|org| (org.org_id, (org.name_zh, org.name_en))));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_which_one_kind_is_missing_are_asked_for_again_soon() {
        let some = || ByKey::from([("key".to_owned(), ("名称".to_owned(), "Name".to_owned()))]);
        let kept = |places, items| Names { places, items }.kept();
        assert_eq!(kept(some(), some()), KEEP);
        assert_eq!(kept(some(), ByKey::new()), RETRY);
        assert_eq!(kept(ByKey::new(), some()), RETRY);
        assert_eq!(Names::default().kept(), RETRY);
    }
}
