//! A district's history from a file: stopped and gone on with, wrong rows told by line and column, each case once; the figures
//! follow, on a bus that lets an import's event be overtaken, and come out the same when they are made anew.

use std::{fmt::Write as _, fs};

use chrono::{SecondsFormat, TimeDelta};
use jianghan::import::{self, Options};
use proto::{
    analytics::v1::{GetRollupDigestRequest, RebuildRollupsRequest},
    case_routing::v1::ListCasesRequest,
};
use tests::{World, journeys::COMMUNITY, run};
use tokio_util::sync::CancellationToken;

/// Rows of the file; one of them is wrong, one stands there twice.
const ROWS: usize = 1_200;

async fn history(world: &World) -> String {
    let now = world.now().await.expect("domain time");
    let at = |hours: i64| (now - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut file = "编号,内容,地点编码,事项编码,状态,登记时间,结案时间,主办单位编码,满意度\r\n".to_owned();
    for number in 0..ROWS {
        let age = 4_000 - i64::try_from(number).expect("few");
        let (state, closed, lead, grade) = match number % 10 {
            0 => ("已研判", String::new(), "", ""),
            1 => ("已派单", String::new(), "street_office:420103005", ""),
            2 => ("已撤回", at(age - 30), "", ""),
            3 => ("已结案", at(age - 50), "", "不满意"),
            _ => ("已结案", at(age - 40), "street_office:420103005", "满意"),
        };
        let place = if number == 700 { "999" } else { COMMUNITY };
        let id = if number == 901 { 900 } else { number };
        writeln!(file, "H-{id},\"历史工单{number}，路灯不亮\n请看看\",{place},CJ-0112,{state},{},{closed},{lead},{grade}\r", at(age))
            .expect("a String takes everything");
    }
    file
}

#[test]
fn a_history_is_imported_in_two_goes_each_case_once() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("history.csv");
        fs::write(&path, history(world).await).expect("written");
        let options = Options {
            file: path.clone(),
            columns: None,
            source: "hotline".to_owned(),
            batch: 100,
            resume: false,
            check: false,
        };
        let go = async |options: &Options, most: u64| {
            let stop = CancellationToken::new();
            let after = |counts: &import::state::Counts| {
                if counts.rows >= most {
                    stop.cancel();
                }
            };
            import::run(&world.patient, &world.operator, options, &stop, after).await.expect("it goes on")
        };
        let checked = go(&Options { check: true, ..options.clone() }, u64::MAX).await;
        assert_eq!((checked.counts.imported, checked.counts.problems), (ROWS as u64 - 2, 1));
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "a check leaves nothing");

        let first = go(&options, 300).await;
        assert!(!first.done && first.counts.rows < ROWS as u64, "{first:?}");
        assert!(first.next_line > 600, "two lines a row: {}", first.next_line);
        let rest = go(&Options { resume: true, ..options.clone() }, u64::MAX).await;
        assert!(rest.done && rest.import_id == first.import_id);
        let counts = rest.counts;
        let all = ROWS as u64;
        assert_eq!((counts.rows, counts.imported, counts.duplicates, counts.problems), (all, all - 2, 1, 1));
        let told = fs::read_to_string(import::problems_path(&path)).expect("the list of problems");
        let lines: Vec<&str> = told.lines().collect();
        // The header is line 1, and a row has two lines.
        assert_eq!(lines[1], "1402,\"地点编码\",\"no unit has this code\"");
        assert_eq!(lines[2], "1804,\"\",\"known already\"");
        assert_eq!(lines.len(), 3, "{told}");

        // Once more from the beginning: everything is known.
        let again = go(&options, u64::MAX).await;
        assert_eq!((again.counts.imported, again.counts.duplicates), (0, all - 1));

        import::indexed(&world.patient, &world.operator, rest.import_id, |_| {})
            .await
            .expect("words are noted");
        let desk = world.login("dispatcher.420103005");
        let words =
            ListCasesRequest { query: "历史工单77，".into(), page_size: 50, ..Default::default() };
        let found =
            world.suite.cases().list_cases(desk.asks(words).await).await.expect("a list").into_inner();
        assert!(!found.cases.is_empty() && found.unindexed_count == 0, "{}", found.unindexed_count);
        assert!(found.cases.iter().all(|case| case.text_redacted.contains("历史工单77")));

        world.is_consistent().await;
        let digest = async || {
            let request = world.operator.request(GetRollupDigestRequest::default()).await.expect("signed in");
            world.suite.indicators().get_rollup_digest(request).await.expect("a digest").into_inner().digest
        };
        let before = digest().await;
        let request = RebuildRollupsRequest { request_id: chassis::clock::new_id().to_string() };
        let request = world.operator.request(request).await.expect("signed in");
        let rebuilt = world.suite.indicators().rebuild_rollups(request).await.expect("rebuilt").into_inner();
        assert_eq!((&rebuilt.digest, &rebuilt.digest_before), (&before, &before));
    });
}
