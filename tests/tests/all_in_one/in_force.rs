//! The commands of the operator's binary that put something in force and take it back, each run as a process of its own against
//! a running suite: a version of the responsibility list, a classifier, a yearly notice.

use std::{fmt::Write as _, fs, path::Path};

use chrono::{Datelike, Days};
use serde_json::{Value, json};
use tests::{World, journeys::LAMP, run, world::STREETS};

use crate::commands::{list, some, text};

/// Who leads by the version that is tried.
const GOVERNMENT: &str = "gov:420103";

/// Messages that each label is learnt from: street lamps, noise, and what stands in stairways.
const MESSAGES: [(&str, [&str; 7]); 3] = [
    (
        LAMP,
        [
            "路灯不亮",
            "路灯坏了三天",
            "巷口路灯灭了",
            "路灯一闪一闪",
            "小区路灯全黑",
            "路灯杆歪了不亮",
            "门口路灯没修好",
        ],
    ),
    (
        "HB-9901",
        [
            "夜里噪音扰民",
            "烧烤摊噪音太大",
            "工地半夜噪音",
            "音响噪音吵得睡不着",
            "商铺喇叭噪音",
            "噪音影响休息",
            "夜里装修噪音",
        ],
    ),
    (
        "CJ-0142",
        [
            "楼道堆物",
            "楼道堆满杂物",
            "楼道里堆放纸箱",
            "楼道被杂物堵住",
            "楼道堆物没人清",
            "楼道杂物挡路",
            "楼道堆放电动车",
        ],
    ),
];

/// Where a lamp at a unit would go, now or as told.
async fn explained(world: &World, unit: &str, when: &[&str]) -> Value {
    let asked = ["route", "explain", "--item", LAMP, "--unit", unit];
    world.is_told_well(&[&asked[..], when].concat()).await
}

/// Whether the version that is tried decides.
fn by_government(told: &Value) -> bool {
    told["lead"].as_str().is_some_and(|lead| lead.starts_with(&format!("{GOVERNMENT} ")))
}

#[test]
fn a_version_of_the_list_is_tried_in_a_street_put_in_force_from_a_day_on_and_taken_back() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let dir = tempfile::tempdir().expect("a folder");
        let [here, elsewhere] = STREETS;
        let before = explained(world, here, &[]).await;
        assert!(!by_government(&before), "{before}");
        let rule = before["rule_ids"][0].as_str().expect("a rule that names the lead");

        let file = dir.path().join("list.csv");
        let rows = format!("rule_id,org_code,org_kind,line\n{rule},{GOVERNMENT},,\n");
        fs::write(&file, rows).expect("written");
        let import = ["route", "list", "import", "--file", text(&file), "--reason", "duty_moved"];
        let drafted = world.is_told_well(&import).await;
        assert_eq!((&drafted["changed"], &drafted["problems"]), (&json!(1), &json!([])), "{drafted}");
        let version = drafted["version"].as_i64().expect("a draft").to_string();
        let version = version.as_str();
        assert!(!by_government(&explained(world, here, &[]).await), "a draft decides nothing");

        let canary = ["route", "list", "canary", "--version", version, "--street", here];
        let told = world.is_told_well(&canary).await;
        assert_eq!((&told["state"], &told["canary_street"]), (&json!("canary"), &json!(here)), "{told}");
        let base = told["base"].clone();
        assert!(some(&base), "{told}");
        assert!(by_government(&explained(world, here, &[]).await), "it is tried here");
        assert_eq!(explained(world, elsewhere, &[]).await["lead"], before["lead"], "and nowhere else");

        let today = calendar::local_day(world.now().await.expect("domain time"));
        let day = (today + Days::new(7)).to_string();
        let activate = ["route", "list", "activate", "--version", version, "--on", day.as_str()];
        let told = world.is_told_well(&activate).await;
        assert_eq!(told["from"], format!("{day} 00:00"), "{told}");
        assert_eq!(explained(world, elsewhere, &[]).await["lead"], before["lead"], "its day is to come");
        let then = ["--at", day.as_str()];
        for street in [here, elsewhere] {
            assert!(by_government(&explained(world, street, &then).await), "{street}");
        }

        let back = ["route", "list", "roll-back", "--version", version, "--reason", "wrong_lead"];
        let told = world.is_told_well(&back).await;
        assert_eq!((&told["version"]["state"], &told["in_force_version"]), (&json!("withdrawn"), &base));
        let now: &[&str] = &[];
        for street in [here, elsewhere] {
            for when in [now, &then] {
                assert_eq!(explained(world, street, when).await["lead"], before["lead"], "{street} {when:?}");
            }
        }
    });
}

/// A file of labelled messages.
fn labelled(file: &Path) {
    let mut rows = "subject,label\n".to_owned();
    for (label, subjects) in MESSAGES {
        for subject in subjects {
            writeln!(rows, "{subject},{label}").expect("a String takes everything");
        }
    }
    fs::write(file, rows).expect("written");
}

#[test]
fn a_classifier_is_trained_measured_put_in_force_and_taken_back() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let dir = tempfile::tempdir().expect("a folder");

        // Nobody has brought a model here.
        let told = world.is_told_well(&["classify", "models"]).await;
        assert_eq!((&told["in_force"], &told["models"]), (&json!(0), &json!([])), "{told}");
        let suggest = ["classify", "suggest", "--text", "路灯不亮"];
        assert_eq!(world.is_told_well(&suggest).await["state"], "no_model");
        assert_eq!(world.is_told_well(&["classify", "accuracy"]).await, json!([]));
        let file = dir.path().join("corrections.csv");
        let told = world.is_told_well(&["classify", "corrections", "--out", text(&file)]).await;
        assert_eq!(told["corrections"], 0, "{told}");
        assert_eq!(fs::read_to_string(&file).expect("the file"), "subject,detail,label\n");

        let (history, model) = (dir.path().join("history.csv"), dir.path().join("model"));
        labelled(&history);
        let train = ["classify", "train", "--labelled", text(&history), "--model", text(&model)];
        let told = world.is_told_well(&train).await;
        assert_eq!((&told["records"], &told["labels"]), (&json!(21), &json!(3)), "{told}");
        let bytes = fs::metadata(&model).expect("the model").len();
        assert!(some(&told["features"]) && told["bytes"] == bytes, "{told}");

        let evaluate = ["classify", "evaluate", "--labelled", text(&history), "--model", text(&model)];
        measures(&world.is_told_well(&evaluate).await);

        let told = world.is_told_well(&["classify", "install", "--model", text(&model)]).await;
        assert_eq!((&told["in_force"], &told["bytes"]), (&json!(true), &json!(bytes)), "{told}");
        assert_eq!((&told["labels"], &told["items"]), (&json!(3), &json!(3)), "{told}");
        let version = &told["model_version"];
        assert_eq!(world.is_told_well(&["classify", "models"]).await["in_force"], *version);
        let told = world.is_told_well(&suggest).await;
        assert_eq!((&told["state"], &told["model_version"]), (&json!("suggested"), version), "{told}");
        assert_eq!(told["suggestions"][0]["item_code"], LAMP, "{told}");

        let told = world.is_told_well(&["classify", "roll-back", "--to", "0"]).await;
        assert_eq!(told, json!({ "in_force": 0 }));
        assert_eq!(world.is_told_well(&suggest).await["state"], "no_model");
    });
}

/// Every figure that an evaluation promises, by its name.
fn measures(told: &Value) {
    assert_eq!(told["texts"], 21, "{told}");
    for share in ["accuracy", "top_3_accuracy", "macro_f1"] {
        assert!(told[share].as_f64().is_some_and(|share| (0.5..=1.0).contains(&share)), "{share}: {told}");
    }
    for (label, subjects) in MESSAGES {
        let class = &told["classes"][label];
        assert_eq!(class["support"], subjects.len(), "{label}: {told}");
        for figure in ["precision", "recall", "f1"] {
            assert!(class[figure].is_f64(), "{label}, {figure}: {told}");
        }
        let row = told["confusion"][label].as_object().expect("a row of each label");
        let texts: u64 = row.values().filter_map(Value::as_u64).sum();
        assert_eq!(texts, 7, "{label}: {told}");
    }
    assert!(told["calibration"]["ece"].is_f64(), "{told}");
    let bins = list(&told["calibration"]["bins"]);
    assert_eq!(bins.len(), 10, "{told}");
    assert_eq!(bins.iter().filter_map(|bin| bin["texts"].as_u64()).sum::<u64>(), 21, "{told}");
    for figure in ["min_confidence", "to_human", "accuracy_of_the_rest"] {
        assert!(told["threshold"][figure].is_f64(), "{figure}: {told}");
    }
}

#[test]
fn a_notice_is_imported_when_the_key_of_the_suite_signed_it() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let dir = tempfile::tempdir().expect("a folder");
        // The last year: nothing that runs is counted by it.
        let year = calendar::local_day(world.now().await.expect("domain time")).year() - 1;
        let file = dir.path().join("notice.toml");
        let notice = format!(
            "title_year = {year}\nversion = 9\npapers = [\"https://www.gov.cn/{year}\"]\n[[holiday]]\n\
             name = \"元旦\"\noff = [\"{year}-01-01\"]\n"
        );
        fs::write(&file, notice).expect("written");
        let import = ["calendar", "import", text(&file)];
        let refused = async |why: &str| {
            let ended = world.operates(&import).await;
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(1), "{said}");
            assert!(ended.stdout.is_empty() && said.contains(why), "{said}");
        };
        refused("sign it with `jianghan calendar sign`").await;

        // Anybody can make a key; the services trust one.
        let stranger = dir.path().join("stranger.pem");
        let told = world.is_told_well(&["calendar", "key", text(&stranger)]).await;
        assert_eq!(told["file"], text(&stranger), "{told}");
        assert!(told["public_key"].as_str().is_some_and(|key| !key.is_empty()), "{told}");
        let sign = async |key: &Path| {
            let told = world.is_told_well(&["calendar", "sign", text(&file), "--key", text(key)]).await;
            assert_eq!(told["signature"], format!("{}.sig", text(&file)), "{told}");
            assert_eq!((&told["signed"]["year"], &told["signed"]["version"]), (&json!(year), &json!(9)));
        };
        sign(&stranger).await;
        refused("the notice was not taken").await;

        sign(&world.dir.join("calendar.pem")).await;
        let told = world.is_told_well(&import).await;
        assert_eq!((&told["year"], &told["notice_version"]), (&json!(year), &json!(9)), "{told}");
        assert!(list(&told["off_days"]).contains(&json!(format!("{year}-01-01"))), "{told}");
        assert_eq!(world.is_told_well(&import).await, told, "the same file answers the same");
        world.settles().await; // those who count by it, too
    });
}
