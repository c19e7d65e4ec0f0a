//! What a text speaks of, by a small vocabulary of the catalogue's matters: people say the same in other words. A text is known
//! only by its pairs of characters ([`super::pairs`]), so a word is in it when all pairs of the word are.
//!
//! Only what a matter is about can make two texts alike; what is wrong with it tells how much.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Things of which people complain or ask, each with the words for it. No word stands in two groups.
const THINGS: &[&str] = &[
    // Streets, pipes and lines.
    "路灯 街灯 照明 亮化 灯泡 灯杆 楼道灯 门栋灯 感应灯 声控灯 没灯 没有灯 无灯 灯不亮 漆黑 摸黑 黑灯瞎火",
    "井盖 窨井 阴井",
    "下水道 积水 内涝 排水 渍水 化粪池 被淹 污水外溢 污水管 返水 反水 地漏",
    "停水 断水 没水 没有水 自来水 水压 供水 爆管 水表",
    "停电 断电 没电 没有电 供电 跳闸 电压 变压器 配电 电表",
    "线缆 电缆 光缆 网线 电线 飞线",
    "燃气 天然气 煤气 液化气",
    "供暖 暖气 供热 采暖",
    "路面 坑洼 坑坑洼洼 道路破损 烂路 修路 路坑 大坑 人行道 地砖 塌陷",
    "红绿灯 信号灯",
    "拥堵 堵车 塞车",
    "公交 末班车",
    "共享单车 单车 小黄车",
    "盲道 无障碍 轮椅 坡道",
    // Trees, waste, air and noise.
    "树木 行道树 大树 树枝 倒伏 枯树 树冠 树倒",
    "绿化 绿地 草坪 花坛 毁绿",
    "垃圾 脏乱 清扫 保洁 环卫 清运",
    "小广告 牛皮癣 乱张贴 乱贴 涂鸦",
    "渣土 扬尘 灰尘 尘土 粉尘",
    "噪音 噪声 吵闹 喧哗 广场舞 音响 喇叭 太吵 很吵 好吵 吵得 睡不着 无法入睡 鸣笛",
    "施工 工地 打桩",
    "油烟 烧烤 烟道 烟囱",
    "异味 臭味 刺鼻 臭气 恶臭 气味 废气 很臭 太臭 好臭",
    "黑臭 排污 废水 水体 河道 河水",
    "老鼠 鼠患 蟑螂 蚊虫 四害",
    "公厕 厕所",
    // Houses and estates.
    "漏水 渗水 漏雨 渗漏 滴水",
    "电梯 升降机 轿厢",
    "堆物 杂物 堆放 乱堆 占用楼道",
    "电动车 电瓶车 电动自行车 充电桩",
    "遛狗 养狗 恶犬 大狗 流浪狗 狗叫 犬吠 宠物 流浪猫",
    "停车 车位 乱停 违停 僵尸车",
    "消防 灭火器 生命通道",
    "物业",
    "业委会 业主委员会 业主大会",
    "违建 违章搭建 违章建筑 违法建筑 违法建设 违规搭建 私搭 乱搭 搭建 加建",
    "占道经营 摊贩 小贩 摆摊 地摊 夜市 摊位",
    "广告牌 店招 招牌 户外广告",
    "围墙 护栏 栏杆",
    "健身器材 健身设施 体育器材 滑梯 秋千",
    "外墙 墙皮 墙砖",
    "危房 房屋倾斜 危险房屋",
    "门禁 对讲 单元门 防盗门",
    "高空抛物 抛物 扔东西",
    "群租 出租屋 出租房 日租",
    "拆迁 征收 征拆 动迁",
    "安置房 还建 回迁",
    "房产证 不动产证 产权证",
    "公积金",
    "公租房 廉租房 保障房 保障性住房",
    // People's affairs.
    "低保 最低生活保障",
    "临时救助 困难补助 救济",
    "高龄津贴 高龄补贴 老年津贴",
    "社保 养老保险",
    "医保 医疗保险 报销",
    "工资 欠薪 薪资 工钱",
    "户口 落户 户籍",
    "幼儿园 入园 托育",
    "入学 学位 学区 小升初",
    "培训机构 培训班 补习 补课 辅导班",
    "食品 变质 过期 食物中毒 地沟油",
    "退款 退费 退钱 押金 预付卡 会员卡 充值卡",
    "诈骗 被骗 骗局 骗钱",
    "被盗 被偷 盗窃 小偷",
    "赌博 聚赌 麻将 棋牌室",
    "邻里纠纷 吵架 打架",
];

/// What is wrong with a thing.
const TROUBLES: &[&str] = &[
    "坏了 坏掉 不亮 损坏 破损 故障 失灵 不能用 用不了 熄灭 缺损 缺失",
    "堵塞 堵了 堵住 不通 疏通",
    "溢出 外溢 漫出 冒水",
    "松动 危险 隐患",
    "没人管 无人管 没人处理 无人处理 不处理 不作为",
    "半夜 深夜 凌晨 夜间 晚上",
    "占用 霸占 占道",
    "收费 涨价 价格",
    "拖欠 不发 欠钱",
];

/// How much more it tells what a matter is about than what is wrong.
const THING: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Thing(usize),
    Trouble(usize),
}

/// A word, but for the pair by which it is found.
struct Word {
    rest: Vec<i32>,
    group: Group,
}

/// Every word, by its first pair.
static VOCABULARY: LazyLock<HashMap<i32, Vec<Word>>> = LazyLock::new(|| {
    let mut words: HashMap<i32, Vec<Word>> = HashMap::new();
    let things = THINGS.iter().enumerate().map(|(number, group)| (Group::Thing(number), *group));
    let troubles = TROUBLES.iter().enumerate().map(|(number, group)| (Group::Trouble(number), *group));
    for (group, text) in things.chain(troubles) {
        for word in text.split(' ') {
            let mut rest = super::pairs(word);
            if !rest.is_empty() {
                let first = rest.remove(0);
                words.entry(first).or_default().push(Word { rest, group });
            }
        }
    }
    words
});

/// What a text speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Each once, ascending.
    groups: Vec<Group>,
}

impl Told {
    /// Of a text's pairs, which are sorted.
    #[must_use]
    pub fn of(pairs: &[i32]) -> Self {
        let said = |word: &&Word| word.rest.iter().all(|pair| pairs.binary_search(pair).is_ok());
        let words = pairs.iter().filter_map(|pair| VOCABULARY.get(pair)).flatten();
        let mut groups: Vec<Group> = words.filter(said).map(|word| word.group).collect();
        groups.sort_unstable();
        groups.dedup();
        Self { groups }
    }

    /// How alike it is what both speak of, 0 to 1; 0 where they are about nothing that both are about.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> f64 {
        let weight = |group: &Group| if matches!(group, Group::Thing(_)) { THING } else { 1 };
        let weigh = |told: &Self| told.groups.iter().map(weight).sum::<usize>();
        if !self.shares_a_thing(other) {
            return 0.0;
        }
        let common: usize = self.groups.iter().filter(|group| other.groups.contains(group)).map(weight).sum();
        let all = weigh(self) + weigh(other) - common;
        common as f64 / all as f64
    }

    /// Whether it is known of both what they are about, and that is nothing in common.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        self.things().next().is_some() && other.things().next().is_some() && !self.shares_a_thing(other)
    }

    /// Pairs of which another text about the same has at least one, whatever its words.
    #[must_use]
    pub fn synonyms(&self) -> Vec<i32> {
        let about = |words: &[Word]| words.iter().any(|word| self.things().any(|thing| thing == word.group));
        let mut pairs: Vec<i32> =
            VOCABULARY.iter().filter(|(_, words)| about(words)).map(|(pair, _)| *pair).collect();
        pairs.sort_unstable();
        pairs
    }

    fn things(&self) -> impl Iterator<Item = Group> + '_ {
        self.groups.iter().copied().filter(|group| matches!(group, Group::Thing(_)))
    }

    fn shares_a_thing(&self, other: &Self) -> bool {
        self.things().any(|thing| other.groups.contains(&thing))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::pairs;

    fn told(text: &str) -> Told {
        Told::of(&pairs(text))
    }

    #[test]
    fn every_word_has_a_pair_and_stands_in_one_group() {
        let mut seen = HashSet::new();
        for word in THINGS.iter().chain(TROUBLES).flat_map(|group| group.split(' ')) {
            assert!(!pairs(word).is_empty(), "{word:?}");
            assert!(seen.insert(word), "{word} stands twice");
        }
    }

    #[test]
    fn the_same_in_other_words_is_alike() {
        let same = [
            ("路灯坏了", "楼下照明不亮"),
            ("窨井松动", "井盖有危险"),
            ("下水道堵了", "门口积水，管道堵塞"),
            ("广场舞吵闹", "音响太吵，睡不着"),
            ("家里没水", "整栋停水"),
            ("拖欠农民工工资", "老板欠薪不发"),
            ("私搭乱建", "违章搭建没人管"),
        ];
        for (one, other) in same {
            assert!(told(one).likeness(&told(other)) >= 0.5, "{one} / {other}");
        }
    }

    #[test]
    fn another_thing_is_not_alike_whatever_is_wrong_with_it() {
        let apart = [("路灯坏了", "电梯坏了"), ("垃圾没人管", "违停没人管"), ("下水道堵塞", "消防通道堵塞")];
        for (one, other) in apart {
            let (one, other) = (told(one), told(other));
            assert!(one.likeness(&other).abs() < f64::EPSILON);
            assert!(one.differs(&other));
        }
        assert!(told("坏了").likeness(&told("坏了")).abs() < f64::EPSILON, "it is not said what is broken");
        assert!(!told("你好").differs(&told("路灯坏了")), "it is not known what it is about");
    }

    #[test]
    fn a_text_about_the_same_has_one_of_the_synonyms() {
        let found = told("路灯坏了").synonyms();
        for other in ["楼下照明不亮", "门栋灯泡不行", "晚上要摸黑上楼"] {
            assert!(pairs(other).iter().any(|pair| found.binary_search(pair).is_ok()), "{other}");
        }
        assert!(pairs("楼上漏水").iter().all(|pair| found.binary_search(pair).is_err()));
        assert!(told("坏了").synonyms().is_empty());
    }

    #[test]
    fn likeness_is_symmetric_and_whole_with_itself() {
        let texts = ["路灯坏了", "楼下照明不亮", "电梯困人", "垃圾没人清运，臭味很大", ""];
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |other| (one, other))) {
            let (one, other) = (told(one), told(other));
            let there = one.likeness(&other);
            assert!((there - other.likeness(&one)).abs() < 1e-12 && (0.0..=1.0).contains(&there));
        }
        assert!((told("路灯坏了").likeness(&told("路灯坏了")) - 1.0).abs() < 1e-12);
    }
}
