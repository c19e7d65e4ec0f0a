//! Made-up requests: each label has words of its own, and sentences that all labels share.

use classifier::{Model, Options, Record, text::mix, train};

const LABELS: [(&str, [&str; 5]); 4] = [
    ("市政设施", ["路灯不亮", "井盖丢失", "人行道塌陷", "下水道堵塞", "护栏损坏"]),
    ("劳动保障", ["拖欠工资", "养老金发放", "医保报销", "工伤认定", "失业登记"]),
    ("教育文体", ["小学招生", "幼儿园收费", "教师编制", "中考政策", "球场开放"]),
    ("环境卫生", ["垃圾堆积", "夜间噪音", "河水发臭", "油烟扰民", "焚烧秸秆"]),
];
const OPENINGS: [&str; 4] = ["请问", "反映", "关于", "再次投诉"];
const ENDINGS: [&str; 4] = ["的问题", "该找谁", "何时解决", "请尽快处理"];

/// `count` requests; every second one has a detail, every tenth repeats the subject of another.
pub fn requests(count: usize, seed: u64) -> Vec<Record> {
    let pick = |draw: u64, turn: u64, of: usize| (mix(draw ^ mix(turn)) % of as u64) as usize;
    (0..count)
        .map(|number| {
            let own = if number % 10 == 9 { number - 9 } else { number };
            let draw = seed.wrapping_mul(1_000_003) + own as u64;
            let (label, words) = LABELS[pick(draw, 1, LABELS.len())];
            let word = words[pick(draw, 2, words.len())];
            let place = pick(draw, 5, 40);
            let subject = format!(
                "{}{place}号院{word}{}",
                OPENINGS[pick(draw, 3, OPENINGS.len())],
                ENDINGS[pick(draw, 4, ENDINGS.len())]
            );
            let detail = if number % 2 == 0 {
                format!(
                    "您好，我住在{place}号院。\n这里{word}已经{}天了，希望有人来看看，谢谢！",
                    pick(draw, 6, 30)
                )
            } else {
                String::new()
            };
            Record { subject, detail, label: label.into() }
        })
        .collect()
}

/// A model of made-up requests.
pub fn model(seed: u64) -> Model {
    train(&requests(300, seed), &[], &Options::default(), &|_, _| {}).expect("made-up requests can be learnt")
}

/// The bytes of a model.
pub fn bytes(model: &Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write(&mut bytes).expect("memory takes what is written");
    bytes
}
