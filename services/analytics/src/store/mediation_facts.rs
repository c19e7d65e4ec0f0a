//! `mediation_facts`: one row per mediation.

use chassis::Timestamp;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::columns::fact_table;
use crate::domain::MediationFact;

fact_table! {
    MediationFact, table "mediation_facts", key mediation_id,
    {
        mediation_id: Uuid => SqlUuid,
        case_id: Uuid => SqlUuid,
        version: i64 => BigInt,
        place_unit_id: Option<Uuid> => Nullable<SqlUuid>,
        item_code: String => Text,
        line: String => Text,
        opened_at: Option<Timestamp> => Nullable<Timestamptz>,
        agreed: bool => Bool,
        within_community: bool => Bool,
        performance_due_at: Option<Timestamp> => Nullable<Timestamptz>,
        performed: bool => Bool,
    }
}
