//! Exchange with other systems: tickets become cases (`push`), what becomes of them is told in their words (`telling`) and sent
//! (`courier`), and what becomes elsewhere of those that were referred is noted (`reports`), as is that they do not get there
//! (`undelivered`).

pub mod courier;
mod joint;
pub mod push;
pub mod reports;
pub mod telling;
pub mod undelivered;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use chassis::{Error, Result};
use diesel_async::AsyncPgConnection;

use crate::{domain::exchange::Mapping, store::exchange::mappings};

/// Purpose under which what was pushed is sealed.
pub const TICKET: &str = "external_ticket";
/// Purpose under which the secrets of signatures are sealed.
pub const SECRETS: &str = "webhook_secrets";

/// System and version.
type Key = (String, i32);

/// The mappings that were read; a version never changes, so it is read once. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Mappings(Arc<RwLock<HashMap<Key, Arc<Mapping>>>>);

impl Mappings {
    /// A version of a system; an empty one for 0.
    ///
    /// # Errors
    /// From the database.
    pub async fn get(
        &self,
        conn: &mut AsyncPgConnection,
        system: &str,
        version: i32,
    ) -> Result<Arc<Mapping>> {
        if version == 0 {
            return Ok(Arc::default());
        }
        let key = (system.to_owned(), version);
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let found = mappings::get(conn, system, version).await?;
        let found = found.ok_or_else(|| Error::internal("a ticket cites a mapping that is not there"))?;
        let mapping = Arc::new(found.mapping()?);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, mapping.clone());
        Ok(mapping)
    }
}
