//! Ids, one type per kind of thing, so that they cannot be mixed up.

use std::fmt;

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A case of case-routing.
    CaseId;
    /// A task of case-routing: an organisation's part in a case.
    TaskId;
    /// A task given to a worker.
    AssignmentId;
    /// A worker: a person on a post.
    WorkerId;
    /// A person of identity.
    PersonId;
    /// A single-seat post.
    PostId;
    /// A rostered time.
    ShiftId;
    /// A role grant of identity.
    GrantId;
    /// An organisation.
    OrgId;
    /// A unit of the tree.
    UnitId;
}
