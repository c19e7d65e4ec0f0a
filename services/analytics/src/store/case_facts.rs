//! `case_facts`: one row per case.

use chassis::Timestamp;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::columns::fact_table;
use crate::domain::CaseFact;

fact_table! {
    CaseFact, table "case_facts", key case_id,
    {
        case_id: Uuid => SqlUuid,
        version: i64 => BigInt,
        state: i16 => SmallInt,
        state_since: Timestamp => Timestamptz,
        place_unit_id: Option<Uuid> => Nullable<SqlUuid>,
        item_code: String => Text,
        line: String => Text,
        delivery_mode: i16 => SmallInt,
        closed_code: i16 => SmallInt,
        origin: i16 => SmallInt,
        nature: i16 => SmallInt,
        solved_on_spot: bool => Bool,
        repeats: bool => Bool,
        registered_at: Timestamp => Timestamptz,
        accepted_at: Option<Timestamp> => Nullable<Timestamptz>,
        intake_in_time: Option<bool> => Nullable<Bool>,
        routed_at: Option<Timestamp> => Nullable<Timestamptz>,
        routed_in_time: bool => Bool,
        dispatched: bool => Bool,
        led: bool => Bool,
        contact_in_time: Option<bool> => Nullable<Bool>,
        due_at: Option<Timestamp> => Nullable<Timestamptz>,
        due_before_pause_at: Option<Timestamp> => Nullable<Timestamptz>,
        open_due_at: Option<Timestamp> => Nullable<Timestamptz>,
        completed_at: Option<Timestamp> => Nullable<Timestamptz>,
        missed_before: bool => Bool,
        late_before: String => Text,
        elapsed_seconds: Option<i64> => Nullable<BigInt>,
        elapsed_unit: i16 => SmallInt,
        callback_due: bool => Bool,
        callback: i16 => SmallInt,
        callback_grade: i16 => SmallInt,
        callback_resolution: i16 => SmallInt,
        contact_confirmed: bool => Bool,
        closed_at: Option<Timestamp> => Nullable<Timestamptz>,
        ended_at: Option<Timestamp> => Nullable<Timestamptz>,
        first_closed_at: Option<Timestamp> => Nullable<Timestamptz>,
        once_resolved: bool => Bool,
        rework_count: i32 => Integer,
        lead_change_count: i32 => Integer,
        extension_count: i32 => Integer,
        supervision_count: i32 => Integer,
        supervision_in_time_count: i32 => Integer,
        supervisions_unanswered: String => Text,
        good_rated_at: Option<Timestamp> => Nullable<Timestamptz>,
        bad_rated_at: Option<Timestamp> => Nullable<Timestamptz>,
        rated_on_behalf_only: bool => Bool,
        bad_valid: Option<bool> => Nullable<Bool>,
        bad_rectified: Option<bool> => Nullable<Bool>,
        bad_called_back: bool => Bool,
        process: String => Text,
        process_version: String => Text,
    }
}
