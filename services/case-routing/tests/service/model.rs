//! A classifier small enough to be trained in a test, and the steps about what it suggests.

use std::sync::LazyLock;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, classify_service_client::ClassifyServiceClient,
        intake_service_client::IntakeServiceClient, suggest_items_request::About,
    },
    testing::Persona,
};
use classifier::{Options, Record, train};
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::support::{District, ITEM, request_id};

type Client = ClassifyServiceClient<PeerChannel>;

/// Street lamps, noise of shops, and what stands in stairways.
pub const LAMP: &str = "CJ-0103";
pub const NOISE: &str = "HB-9901";

fn records(label: &str, subjects: &[&str]) -> Vec<Record> {
    let record = |subject: &&str| Record {
        subject: (*subject).to_owned(),
        detail: String::new(),
        label: label.to_owned(),
    };
    subjects.iter().map(record).collect()
}

/// What the district remembers, with the labels that it uses.
pub fn history(lamp: &str, noise: &str, stairs: &str) -> Vec<Record> {
    let lamps = [
        "路灯不亮",
        "路灯坏了三天",
        "巷口路灯灭了",
        "路灯一闪一闪",
        "小区路灯全黑",
        "路灯杆歪了不亮",
        "门口路灯没修好",
    ];
    let noises = [
        "夜里噪音扰民",
        "烧烤摊噪音太大",
        "工地半夜噪音",
        "音响噪音吵得睡不着",
        "商铺喇叭噪音",
        "噪音影响休息",
        "夜里装修噪音",
    ];
    let stairways = [
        "楼道堆物",
        "楼道堆满杂物",
        "楼道里堆放纸箱",
        "楼道被杂物堵住",
        "楼道堆物没人清",
        "楼道杂物挡路",
        "楼道堆放电动车",
    ];
    [records(lamp, &lamps), records(noise, &noises), records(stairs, &stairways)].concat()
}

pub fn file(history: &[Record], corrections: &[Record]) -> Vec<u8> {
    let model = train(history, corrections, &Options::default(), &|_, _| {}).unwrap();
    let mut bytes = Vec::new();
    model.write(&mut bytes).unwrap();
    bytes
}

/// Labels that are items.
pub static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| file(&history(LAMP, NOISE, ITEM), &[]));

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl District {
    pub fn classify(&self, persona: &Persona) -> Client {
        ClassifyServiceClient::new(self.service.call_as(persona))
    }

    pub fn operator(&self) -> Client {
        self.classify(&Persona::new(Role::ItOperator, self.district))
    }

    /// Brings a file in parts of some size.
    pub async fn bring(&self, file: &[u8], size: usize) {
        let sha256 = hex(file);
        let mut brought = 0;
        for (part, data) in (0..).zip(file.chunks(size)) {
            let request = pb::PutModelPartRequest {
                sha256: sha256.clone(),
                request_id: request_id(),
                part,
                data: data.to_vec(),
            };
            brought = self.operator().put_model_part(request).await.unwrap().into_inner().size_bytes;
        }
        assert_eq!(brought, i64::try_from(file.len()).unwrap());
    }

    pub async fn install(&self, file: &[u8], labels: &[(&str, &str)]) -> Result<pb::ModelVersion, Status> {
        let label_items = labels
            .iter()
            .map(|(label, item)| pb::LabelItem { label: (*label).to_owned(), item_code: (*item).to_owned() });
        let request = pb::InstallModelRequest {
            request_id: request_id(),
            sha256: hex(file),
            label_items: label_items.collect(),
        };
        Ok(self.operator().install_model(request).await?.into_inner().model.unwrap())
    }

    /// The plain model in force.
    pub async fn with_model(self) -> Self {
        self.in_force(&PLAIN).await;
        self
    }

    /// Puts a model in force whose labels are items.
    pub async fn in_force(&self, file: &[u8]) {
        self.bring(file, 1 << 20).await;
        self.install(file, &[]).await.unwrap();
    }

    pub async fn suggest(&self, about: About) -> Result<pb::SuggestItemsResponse, Status> {
        let request = pb::SuggestItemsRequest { about: Some(about) };
        self.classify(&self.window()).suggest_items(request).await.map(tonic::Response::into_inner)
    }

    pub async fn suggest_text(&self, text: &str) -> pb::SuggestItemsResponse {
        self.suggest(About::Text(text.into())).await.unwrap()
    }

    pub fn registration(&self, requester: &Persona, text: &str) -> pb::RegisterCaseRequest {
        pb::RegisterCaseRequest {
            request_id: request_id(),
            text: text.into(),
            place_unit_id: self.community.to_string(),
            channel: pb::Channel::App.into(),
            requester_id: requester.person_id.to_string(),
            notice_version: "1".into(),
            ..Default::default()
        }
    }

    pub async fn registers(&self, request: pb::RegisterCaseRequest) -> pb::Case {
        let resident =
            Persona { person_id: request.requester_id.parse().unwrap(), ..Persona::resident(self.district) };
        self.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
    }

    /// A case without an item, taken in by a human.
    pub async fn accepted(&self, text: &str) -> pb::Case {
        let case = self.registers(self.registration(&Persona::resident(self.district), text)).await;
        let request =
            pb::AcceptCaseRequest { case_id: case.case_id, request_id: request_id(), ..Default::default() };
        self.intake().accept_case(request).await.unwrap().into_inner().case.unwrap()
    }

    fn intake(&self) -> IntakeServiceClient<PeerChannel> {
        IntakeServiceClient::new(self.service.call_as(&self.dispatcher()))
    }

    pub async fn triages(&self, case: &pb::Case, item: &str) -> pb::Case {
        let request = pb::TriageCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            item_code: item.into(),
            ..Default::default()
        };
        self.intake().triage_case(request).await.unwrap().into_inner().case.unwrap()
    }

    pub async fn timeline(&self, case: &pb::Case) -> Vec<pb::TimelineEntry> {
        let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
        self.cases(&self.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries
    }

    /// Corrections, one a page.
    pub async fn corrections(&self) -> Vec<pb::Correction> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListCorrectionsRequest { page_size: 1, page_token, ..Default::default() };
            let page =
                self.classify(&of_district(self)).list_corrections(request).await.unwrap().into_inner();
            all.extend(page.corrections);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    pub async fn accuracy(&self) -> Vec<pb::ModelAccuracy> {
        let request = pb::GetModelAccuracyRequest::default();
        self.classify(&of_district(self)).get_model_accuracy(request).await.unwrap().into_inner().versions
    }
}

pub fn first(answer: &pb::SuggestItemsResponse) -> &str {
    answer.suggestions.first().map_or("", |one| one.item_code.as_str())
}

fn of_district(d: &District) -> Persona {
    Persona::new(Role::DistrictDispatcher, d.district)
}
