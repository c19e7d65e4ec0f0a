//! `task_facts`: one row per task.

use chassis::Timestamp;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::columns::fact_table;
use crate::domain::TaskFact;

fact_table! {
    TaskFact, table "task_facts", key task_id,
    {
        task_id: Uuid => SqlUuid,
        case_id: Uuid => SqlUuid,
        version: i64 => BigInt,
        place_unit_id: Option<Uuid> => Nullable<SqlUuid>,
        item_code: String => Text,
        line: String => Text,
        issued_at: Option<Timestamp> => Nullable<Timestamptz>,
        sign_due: bool => Bool,
        signed_in_time: Option<bool> => Nullable<Bool>,
        objected: bool => Bool,
        upheld: Option<bool> => Nullable<Bool>,
        submitted_at: Option<Timestamp> => Nullable<Timestamptz>,
        returned: bool => Bool,
        whistle: bool => Bool,
        reported_in_time: Option<bool> => Nullable<Bool>,
        solved: Option<bool> => Nullable<Bool>,
        needed: Option<bool> => Nullable<Bool>,
    }
}
