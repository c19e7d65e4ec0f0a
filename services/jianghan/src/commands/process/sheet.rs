//! How a comparison is printed: as JSON, or as a sheet with both sides beside one another.

use proto::analytics::v1::{ProcessComparison, ProcessFigures, Share};
use serde_json::{Value, json};

use super::Units;

/// What is said of figures that are made over a merger of units.
const REBASED_ZH: &str = "含撤并前数据";
const REBASED_EN: &str = "re-based after a merger";

fn share(share: Option<&Share>) -> Value {
    share.map_or(Value::Null, |share| {
        json!({ "numerator": share.numerator, "denominator": share.denominator, "value": share.value })
    })
}

fn figures(side: &ProcessFigures) -> Value {
    let times: serde_json::Map<String, Value> =
        side.state_times.iter().map(|time| (time.state.clone(), json!(time.seconds_per_case))).collect();
    let mode = |mode: &proto::analytics::v1::ModeFigures| {
        json!({
            "delivery_mode": mode.delivery_mode,
            "cases": mode.cases,
            "cases_with_minutes": mode.cases_with_minutes,
            "minutes_per_case": mode.minutes_per_case,
        })
    };
    json!({
        "cases": side.cases,
        "steps": side.steps,
        "hand_overs": side.hand_overs,
        "dispatches": side.dispatches,
        "objections": side.objections,
        "returns": side.returns,
        "touch_points": side.touch_points,
        "supplements": side.supplements,
        "contacts": side.contacts,
        "seconds_by_state": times,
        "on_time": share(side.on_time.as_ref()),
        "rework": share(side.rework.as_ref()),
        "one_time": share(side.one_time.as_ref()),
        "delivery_modes": side.delivery_modes.iter().map(mode).collect::<Vec<_>>(),
        "small_sample": side.small_sample,
        "rebased": side.rebased,
    })
}

/// A row with both sides.
pub fn as_json(row: &ProcessComparison, units: &Units) -> Value {
    let street_unit_id = Some(&row.street_unit_id).filter(|id| !id.is_empty());
    let street = street_unit_id.map(|id| units.code(id));
    let item = Some(&row.item_code).filter(|code| !code.is_empty());
    json!({
        "item_code": item,
        "street": street,
        "street_unit_id": street_unit_id,
        "base": row.base.as_ref().map(figures),
        "other": row.other.as_ref().map(figures),
        "note_zh": row.note_zh,
        "note_en": row.note_en,
    })
}

/// Both sides as a sheet: everything in all figures, then a line a row.
pub fn sheet(overall: &ProcessComparison, rows: &[ProcessComparison], units: &Units) -> String {
    let (base, other) = sides(overall);
    let mut text = format!("{:<34} {:>12} {:>12}\n", "", "base", "other");
    let mut line = |name: &str, base: String, other: String| {
        text.push_str(&format!("{name:<34} {base:>12} {other:>12}\n"));
    };
    let mean = |value: Option<f64>| value.map_or("—".to_owned(), |value| format!("{value:.2}"));
    let rate = |share: Option<&Share>| {
        let value = share.and_then(|share| share.value);
        value.map_or("—".to_owned(), |value| format!("{:.1} %", value * 100.0))
    };
    line("办结 closed cases", base.cases.to_string(), other.cases.to_string());
    line("步骤 steps a case", mean(base.steps), mean(other.steps));
    line("交接 hand-overs a case", mean(base.hand_overs), mean(other.hand_overs));
    line("  派单 dispatches", mean(base.dispatches), mean(other.dispatches));
    line("  异议 objections", mean(base.objections), mean(other.objections));
    line("  退回 returns", mean(base.returns), mean(other.returns));
    line("居民接触 touch points a case", mean(base.touch_points), mean(other.touch_points));
    line("按时 on time", rate(base.on_time.as_ref()), rate(other.on_time.as_ref()));
    line("返工 rework", rate(base.rework.as_ref()), rate(other.rework.as_ref()));
    line("一次办结 one-time", rate(base.one_time.as_ref()), rate(other.one_time.as_ref()));
    let mut states: Vec<&String> =
        base.state_times.iter().chain(&other.state_times).map(|time| &time.state).collect();
    states.sort_unstable();
    states.dedup();
    for state in states {
        let hours = |side: &ProcessFigures| {
            let time = side.state_times.iter().find(|time| time.state == *state);
            time.map_or("—".to_owned(), |time| format!("{:.1} h", time.seconds_per_case / 3_600.0))
        };
        line(&format!("  {state}"), hours(&base), hours(&other));
    }
    if !overall.note_zh.is_empty() {
        text.push_str(&format!("注意 {} / {}\n", overall.note_zh, overall.note_en));
    }
    if is_rebased(overall) {
        text.push_str(&format!("注意 {REBASED_ZH} / {REBASED_EN}\n"));
    }
    for row in rows {
        let (base, other) = sides(row);
        let street = units.named(&row.street_unit_id);
        text.push_str(&format!(
            "{:<10} {:<18} {} / {} cases, hand-overs {} / {}, on time {} / {}, rework {} / {}{}{}\n",
            row.item_code,
            street,
            base.cases,
            other.cases,
            mean(base.hand_overs),
            mean(other.hand_overs),
            rate(base.on_time.as_ref()),
            rate(other.on_time.as_ref()),
            rate(base.rework.as_ref()),
            rate(other.rework.as_ref()),
            if row.note_en.is_empty() { "" } else { "  *" },
            if is_rebased(row) { "  †" } else { "" },
        ));
    }
    if rows.iter().any(|row| !row.note_en.is_empty()) {
        text.push_str("* 样本太小或只有一侧 too small, or one side only\n");
    }
    if rows.iter().any(is_rebased) {
        text.push_str(&format!("† {REBASED_ZH} {REBASED_EN}\n"));
    }
    text
}

/// Whether a side is made over a merger of units.
fn is_rebased(row: &ProcessComparison) -> bool {
    [&row.base, &row.other].into_iter().flatten().any(|side| side.rebased)
}

fn sides(row: &ProcessComparison) -> (ProcessFigures, ProcessFigures) {
    (row.base.clone().unwrap_or_default(), row.other.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::units, *};

    #[test]
    fn a_sheet_has_dashes_where_nothing_was_counted_and_says_what_is_too_small() {
        let side = ProcessFigures {
            cases: 3,
            steps: Some(12.5),
            on_time: Some(Share { numerator: 1, denominator: 2, value: Some(0.5) }),
            small_sample: true,
            ..Default::default()
        };
        let both = |item: &str| ProcessComparison {
            item_code: item.into(),
            street_unit_id: if item.is_empty() { String::new() } else { "s-1".into() },
            base: Some(ProcessFigures::default()),
            other: Some(side.clone()),
            note_zh: "只有一侧".into(),
            note_en: "only one side".into(),
        };
        let text = sheet(&both(""), &[both("CJ-0103")], &units());
        for part in ["12.50", "50.0 %", "—", "only one side", "CJ-0103", "420103005", "* 样本"] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
        assert!(!text.contains(REBASED_ZH), "{text}");
        let told = as_json(&both("CJ-0103"), &units());
        assert_eq!((&told["street"], &told["base"]["steps"]), (&json!("420103005"), &Value::Null));
        assert_eq!(told["other"]["on_time"]["value"], json!(0.5));
    }

    #[test]
    fn a_sheet_says_which_figures_are_made_over_a_merger() {
        let row = |street: &str, rebased: bool| ProcessComparison {
            street_unit_id: street.into(),
            base: Some(ProcessFigures { rebased, ..Default::default() }),
            other: Some(ProcessFigures::default()),
            ..Default::default()
        };
        let rows = [row("s-1", true), row("s-2", false)];
        let text = sheet(&row("", true), &rows, &units());
        let marked: Vec<&str> = text.lines().filter(|line| line.ends_with('†')).collect();
        assert!(matches!(marked[..], [line] if line.contains("420103005")), "{text}");
        assert_eq!(text.matches(REBASED_ZH).count(), 2, "of all, and what the mark means: {text}");
        let told = as_json(&rows[0], &units());
        assert_eq!((&told["base"]["rebased"], &told["other"]["rebased"]), (&json!(true), &json!(false)));
    }
}
