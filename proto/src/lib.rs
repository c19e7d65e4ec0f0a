//! The only contract between the services: generated messages, clients and servers, and the descriptors that
//! policies, event routing and the REST edge are read from. Nothing here may depend on a service.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// Declares the module tree of one package; generated paths expect exactly this nesting.
macro_rules! package {
    ($(#[$doc:meta])* $module:ident, $name:literal) => {
        $(#[$doc])*
        pub mod $module {
            /// Version 1.
            #[allow(
                missing_docs,
                clippy::all,
                clippy::pedantic,
                clippy::allow_attributes_without_reason,
                rustdoc::all,
                rust_2018_idioms,
                reason = "generated code: which of these it breaks differs by package, none can be expected"
            )]
            pub mod v1 {
                tonic::include_proto!($name);
            }
        }
    };
}

package!(
    /// Who may call an RPC.
    auth,
    "jianghan.auth.v1"
);
package!(
    /// What the event spine needs to know of an event message.
    events,
    "jianghan.events.v1"
);
package!(
    /// Operations every service answers.
    ops,
    "jianghan.ops.v1"
);
package!(
    /// Units, organisations, authority edges, people, grants and tokens.
    identity,
    "jianghan.identity.v1"
);
package!(
    /// Cases, tasks, the catalogue and the router.
    case_routing,
    "jianghan.case_routing.v1"
);
package!(
    /// Posts, workers, shifts and assignments.
    staffing,
    "jianghan.staffing.v1"
);
package!(
    /// Volunteers, offers and service records.
    volunteer_matching,
    "jianghan.volunteer_matching.v1"
);
package!(
    /// Indicators, boards and the event log.
    analytics,
    "jianghan.analytics.v1"
);

/// The encoded `FileDescriptorSet` of all packages, with extension options and source info.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// The same without source info, that is without comments: most of the room, which only documents need.
pub const BARE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bare_descriptors.binpb"));

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| decoded(DESCRIPTOR_SET));

/// The descriptors of all packages with their comments, decoded once and kept: some megabytes.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The descriptors of all packages, without comments, for a look at the start that leaves nothing behind.
pub fn bare_pool() -> DescriptorPool {
    decoded(BARE_DESCRIPTOR_SET)
}

fn decoded(descriptors: &[u8]) -> DescriptorPool {
    DescriptorPool::decode(descriptors).expect("the descriptors were compiled by this crate's build script")
}

/// A message that is published as an event.
pub trait EventMessage: prost::Message + Default {
    /// Full proto name, such as `jianghan.case_routing.v1.CaseRegistered`.
    const TYPE: &'static str;
}

include!(concat!(env!("OUT_DIR"), "/event_messages.rs"));
