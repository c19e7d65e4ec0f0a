//! Every scenario of `infra/up --scenario`, played on data on which it was played before, and what the board then shows of it
//! to the district's dispatcher at the addresses that the scenario tells.

use jianghan::scenario::{Played, Scenario, Shown};
use proto::case_routing::v1::{GetCaseRequest, GetDutyTransferRequest};
use reqwest::{Client, header, redirect::Policy};
use tests::{World, run};

/// What must stand on the board of each scenario; nothing that stands in every page, such as what the links at its top are called.
const BOARD: [(Scenario, &[&str]); 6] = [
    (
        Scenario::OneWindow,
        &["已结案", "为什么由它办", "差评核实", "返工", "二级督办", "伙伴接受邀请", "重新打开"],
    ),
    (
        Scenario::Application,
        &[
            "服务申请",
            "公示期间有人提出异议",
            "正在公示",
            "已撤下",
            "行政复议",
            "王**",
            "谁去的",
            "复核日",
            "到期复核",
            "继续享受",
            "已终止",
            "信息核对",
            "民主评议",
            "补齐手续",
        ],
    ),
    (
        Scenario::Arbitration,
        &[
            "职责异议与裁定",
            "裁定前先行处置",
            "裁定主办",
            "作为先例自",
            "异议不成立",
            "申请复核裁定",
            "提请明确职责",
        ],
    ),
    (
        Scenario::Whistle,
        &["吹哨报到", "按时", "迟到", "二级督办", "三级督办", "已销号", "时限已过 50%", "时限已过 80%"],
    ),
    (
        Scenario::Mediation,
        &["人民调解", "已履行", "当事人终止", "调解不成，已告知其他途径", "未履行，已告知诉讼"],
    ),
    (
        Scenario::Duty,
        &[
            "回滚",
            "截止时未收到全部确认",
            "终止",
            "权（授权）",
            "社区退回的未准入工作",
            "五个到社区",
            "已到位",
            "系统未记录",
        ],
    ),
];

#[test]
fn every_scenario_can_be_played_again_and_is_seen_on_the_board() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // some let days pass
        let reader = Reader::signs_in(world).await;
        assert_eq!(BOARD.len(), Scenario::all().len());
        for (scenario, words) in BOARD {
            // Once, where another test has played it before.
            let mut pages = String::new();
            while pages.is_empty() || world.performances(scenario).await < 2 {
                world.stage.to_work_hours().await.expect("time passes");
                let played = world.performs(scenario).await;
                pages = reader.reads(world, &played).await;
            }
            for word in words {
                assert!(pages.contains(word), "{}: {word}", scenario.name());
            }
        }
        world.is_consistent().await;
        world.to_the_next_morning().await.expect("time passes");
    });
}

/// The dispatcher before a browser.
struct Reader {
    http: Client,
    cookies: String,
}

impl Reader {
    async fn signs_in(world: &World) -> Self {
        let http = Client::builder().redirect(Policy::none()).build().expect("a client");
        let account = world.dispatcher().session.account.clone();
        let form = [("login", &account.login), ("password", &account.password)];
        let answer = http.post(format!("{}/login", world.gateway)).header(header::ORIGIN, &world.gateway);
        let answer = answer.form(&form).send().await.expect("the board answers");
        assert_eq!(answer.status(), 303);
        let set = answer.headers().get_all(header::SET_COOKIE).iter();
        let kept = set.filter_map(|value| value.to_str().ok()?.split(';').next().map(ToOwned::to_owned));
        Self { http, cookies: kept.collect::<Vec<_>>().join("; ") }
    }

    /// Every page that a scenario tells of, one after the other.
    async fn reads(&self, world: &World, played: &Played) -> String {
        let mut all = String::new();
        for shown in &played.shown {
            let answer = self.http.get(&shown.url).header(header::COOKIE, &self.cookies).send().await;
            let answer = answer.expect("the board answers");
            assert_eq!(answer.status(), 200, "{}", shown.url);
            let page = answer.text().await.expect("a page");
            let mark = mark(world, shown).await;
            assert!(page.contains(&mark), "{} does not show {mark}", shown.url);
            all.push_str(&page);
        }
        all
    }
}

/// What a page shows of the thing itself. Its address, and so its id, stands in every page.
async fn mark(world: &World, shown: &Shown) -> String {
    let dispatcher = world.dispatcher();
    match shown.kind {
        "case" => {
            let request = dispatcher.asks(GetCaseRequest { case_id: shown.id.clone() }).await;
            let case = world.patient.cases().get_case(request).await.expect("the case").into_inner().case;
            format!("<h1>{} ", case.expect("a case").case_no)
        }
        "transfer" => {
            let request =
                dispatcher.asks(GetDutyTransferRequest { duty_transfer_id: shown.id.clone() }).await;
            let answer = world.patient.duties().get_duty_transfer(request).await.expect("the transfer");
            format!("<dd>{}</dd>", answer.into_inner().transfer.expect("a transfer").basis_ref)
        }
        "admission" => format!("<li id=\"a-{}\">", shown.id),
        // A public notice shows neither ids nor numbers, only that there is one.
        _ => "<tr><th scope=\"row\">".to_owned(),
    }
}
