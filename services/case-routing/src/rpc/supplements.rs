//! The supplement of a case as callers see it: codes of materials with what they are called.

use chassis::proto::case_routing::v1 as pb;

use super::convert::at;
use crate::domain::{Case, ClockKind, Supplement, material_names};

/// What was missing, and what came in of it.
pub(super) fn supplement(case: &Case, known: &Supplement) -> pb::Supplement {
    pb::Supplement {
        asked_material_codes: known.asked.clone(),
        asked_time: at(known.asked_at),
        due_time: case.clock(ClockKind::Supplement, None).and_then(|clock| at(clock.due_at)),
        sent_material_codes: known.sent.clone(),
        material_refs: known.refs.clone(),
        sent_time: known.sent_at.and_then(at),
        materials: materials(known),
    }
}

/// What its codes mean, as far as they are common ones.
fn materials(known: &Supplement) -> Vec<pb::Material> {
    let besides = known.sent.iter().filter(|code| !known.asked.contains(code));
    let named = known.asked.iter().chain(besides).filter_map(|code| {
        let (name_zh, name_en) = material_names(code)?;
        Some(pb::Material {
            material_code: code.clone(),
            name_zh: name_zh.to_owned(),
            name_en: name_en.to_owned(),
        })
    });
    named.collect()
}
