//! Offers, volunteers and service records as plain values. No database, no clock, no randomness.

pub mod offer;
pub mod ranking;

use uuid::Uuid;

/// Declares a newtype id over a UUID.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Id of an offer; case-routing chose it.
    OfferId
);
id!(
    /// Id of a volunteer.
    VolunteerId
);
id!(
    /// Id of a service record.
    RecordId
);

/// Declares an enumeration with the text it has in SQL.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text in SQL and in reasons.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the text back; `None` for an unknown one.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}
pub(crate) use texts;

texts!(
    /// State of a volunteer (domain §2.4).
    VolunteerState {
        /// Signed up.
        Registered = "registered",
        /// Checked.
        Verified = "verified",
        /// Takes part.
        Active = "active",
        /// Takes a break.
        Paused = "paused",
        /// Gone.
        Left = "left",
    }
);

/// Nobody is asked for more offers at once.
pub const MAX_OPEN: i64 = 5;

/// Someone who helps unpaid and of free will.
#[derive(Clone, Debug, PartialEq)]
pub struct Volunteer {
    /// Id.
    pub id: VolunteerId,
    /// Person behind it, for matching a caller; never shown in events.
    pub person_id: Uuid,
    /// Pseudonym.
    pub volunteer_ref: String,
    /// Organisation the volunteer belongs to.
    pub org_id: Uuid,
    /// Where the volunteer lives, if known.
    pub home_unit_id: Option<Uuid>,
    /// Skills by code; `None` when nobody told them, then the organisation's stand in.
    pub skill_codes: Option<Vec<String>>,
    /// State.
    pub state: VolunteerState,
    /// Minutes of locked records.
    pub locked_minutes: i64,
    /// Offers accepted or confirmed and not finished.
    pub open_offers: i64,
}

impl Volunteer {
    /// Whether the volunteer takes part at present and has room for one more offer.
    pub fn is_free(&self) -> bool {
        self.state == VolunteerState::Active && self.open_offers < MAX_OPEN
    }
}
