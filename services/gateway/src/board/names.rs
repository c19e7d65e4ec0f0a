//! Names of units and organisations for the pages. They are public reference data, kept for a minute.

use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::identity::v1::{
    ListOrganizationsRequest, ListUnitsRequest, topology_service_client::TopologyServiceClient,
};
use tokio::{sync::Mutex, time::Instant};

use super::{lang::Lang, session::Session};
use crate::{App, export::unit_names};

const KEEP: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(3);

/// Chinese and English names by id.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, (String, String)>);

impl Names {
    /// The name in a language; an unknown id is shown as it is.
    pub fn of(&self, id: &str, lang: Lang) -> String {
        match self.0.get(id) {
            Some((zh, en)) if lang == Lang::En && !en.is_empty() && en != zh => format!("{en} {zh}"),
            Some((zh, _)) => zh.clone(),
            None => id.to_owned(),
        }
    }
}

/// Keeps the names.
#[derive(Debug, Default)]
pub struct NameCache(Mutex<Option<(Instant, Arc<Names>)>>);

impl NameCache {
    /// The names, fetched with the reader's own token when they are stale. While identity does not answer the old
    /// ones go on, or ids stand in: a page is not refused for want of a name.
    pub async fn get(&self, app: &App, session: &Session) -> Arc<Names> {
        let mut held = self.0.lock().await;
        if let Some((since, names)) = held.as_ref()
            && since.elapsed() < KEEP
        {
            return names.clone();
        }
        let names = match fetch(app, session).await {
            Ok(names) => Arc::new(names),
            Err(status) => {
                tracing::warn!(code = ?status.code(), "names are not to be had just now");
                held.as_ref().map(|(_, names)| names.clone()).unwrap_or_default()
            }
        };
        // Failures are kept too, or every page would wait for identity again.
        let since = if names.0.is_empty() { Instant::now() - KEEP + RETRY } else { Instant::now() };
        *held = Some((since, names.clone()));
        names
    }
}

async fn fetch(app: &App, session: &Session) -> Result<Names, tonic::Status> {
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
            return Ok(Names(names));
        }
    }
}
