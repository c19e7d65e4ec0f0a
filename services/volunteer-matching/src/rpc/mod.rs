//! The service's RPCs: validation on the way in, conversion on the way out; rules live in the domain.

mod convert;
mod offers;
mod volunteers;

use chassis::{
    command::{Executor, ExecutorConfig},
    db::Db,
    topology::Shared,
};
use std::sync::Arc;

use crate::{seed::Partners, store::offers::OfferStore};

pub use self::{offers::Offers, volunteers::Volunteers};

/// What the handlers share.
#[derive(Clone)]
pub struct Shelf {
    db: Db,
    executor: Executor<OfferStore>,
    topology: Arc<Shared>,
    partners: Arc<Partners>,
}

impl Shelf {
    /// Over the service's database.
    pub fn new(db: Db, config: ExecutorConfig, topology: Arc<Shared>, partners: Arc<Partners>) -> Self {
        Self { executor: Executor::new(db.clone(), OfferStore, config), db, topology, partners }
    }
}
