//! Tags of people: what lasting benefits they have, as case-routing tells of them. What is told may come twice, and late; it
//! comes to the same in whatever order.

use chassis::Timestamp;
use uuid::Uuid;

use super::PersonId;

/// The tag of a benefit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonTag {
    /// The benefit that it comes from.
    pub benefit_id: Uuid,
    /// Who carries what; unknown until that is told, and gone when the benefit has ended.
    pub carried: Option<Carried>,
    /// First instant of the day on which it is looked at again.
    pub review_at: Option<Timestamp>,
    /// The benefit has ended; nothing brings it back.
    pub ended: bool,
    /// The latest version of the benefit that was told.
    pub version: i64,
}

/// Who carries what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The person.
    pub person_id: PersonId,
    /// What the tag says.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

/// What is told of a benefit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagNews {
    /// It was delivered for the first time.
    Granted {
        /// Who carries its tag.
        carried: Carried,
        /// The first review.
        review_at: Timestamp,
    },
    /// It goes on.
    Renewed {
        /// The next review.
        review_at: Timestamp,
    },
    /// The day of the review became a rest day.
    ReviewMoved {
        /// The next working day.
        review_at: Timestamp,
    },
    /// It ended.
    Ended,
}

impl PersonTag {
    /// Of a benefit that nothing was told of yet.
    pub fn unknown(benefit_id: Uuid) -> Self {
        Self { benefit_id, carried: None, review_at: None, ended: false, version: 0 }
    }

    /// The tag after news of a version of its benefit; `None` when they change nothing.
    pub fn hear(mut self, news: TagNews, version: i64) -> Option<Self> {
        let newer = version > self.version;
        match news {
            _ if self.ended => return None,
            TagNews::Granted { carried, review_at } => {
                if self.carried.is_some() {
                    return None;
                }
                self.carried = Some(carried);
                self.review_at = if newer { Some(review_at) } else { self.review_at };
            }
            TagNews::Renewed { review_at } | TagNews::ReviewMoved { review_at } if newer => {
                self.review_at = Some(review_at);
            }
            TagNews::Ended if newer => {
                self = Self { ended: true, ..Self::unknown(self.benefit_id) };
            }
            TagNews::Renewed { .. } | TagNews::ReviewMoved { .. } | TagNews::Ended => return None,
        }
        self.version = self.version.max(version);
        Some(self)
    }

    /// Whether the day on which it is looked at again has come: until somebody has decided it speaks for nobody (I-6).
    pub fn review_due(&self, now: Timestamp) -> bool {
        self.review_at.is_none_or(|review_at| review_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000 + day * 86_400, 0).unwrap()
    }

    fn carried() -> Carried {
        Carried { person_id: PersonId(Uuid::from_u128(7)), code: "dibao".to_owned(), since: at(0) }
    }

    fn told() -> [(TagNews, i64); 3] {
        let granted = TagNews::Granted { carried: carried(), review_at: at(90) };
        [(granted, 1), (TagNews::Renewed { review_at: at(180) }, 3), (TagNews::Ended, 5)]
    }

    /// The tag after news in some order, by their places.
    fn after(order: &[usize]) -> PersonTag {
        let news = told();
        let start = PersonTag::unknown(Uuid::from_u128(1));
        order.iter().fold(start, |tag, n| {
            let (news, version) = news[*n].clone();
            tag.clone().hear(news, version).unwrap_or(tag)
        })
    }

    #[test]
    fn in_whatever_order_and_however_often_it_is_told_it_comes_to_the_same() {
        let once = [after(&[0]), after(&[0, 1]), after(&[0, 1, 2])];
        assert_eq!(once[0].review_at, Some(at(90)));
        assert_eq!((once[1].review_at, &once[1].carried), (Some(at(180)), &Some(carried())));
        assert_eq!((once[2].ended, &once[2].carried, once[2].review_at), (true, &None, None));
        assert_eq!(after(&[0, 0]), once[0]);
        for order in [&[1, 0][..], &[0, 1, 0], &[1, 0, 1], &[1, 1, 0]] {
            assert_eq!(after(order), once[1], "{order:?}");
        }
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(after(&order), once[2], "{order:?}");
            let twice: Vec<usize> = order.iter().chain(&order).copied().collect();
            assert_eq!(after(&twice), once[2], "{twice:?}");
        }
    }

    #[test]
    fn news_that_are_known_change_nothing() {
        let [granted, renewed, ended] = told();
        let tag = after(&[0, 1]);
        assert_eq!(tag.clone().hear(granted.0, granted.1), None);
        assert_eq!(tag.clone().hear(renewed.0, renewed.1), None);
        let tag = tag.hear(ended.0.clone(), ended.1).unwrap();
        assert_eq!(tag.clone().hear(ended.0, 9), None);
        assert_eq!(tag.hear(TagNews::Renewed { review_at: at(400) }, 7), None);
    }

    #[test]
    fn a_review_day_that_moves_is_known_in_whatever_order_it_is_told() {
        let moved = || TagNews::ReviewMoved { review_at: at(93) };
        let tag = after(&[0]).hear(moved(), 2).unwrap();
        assert_eq!((tag.review_at, tag.review_due(at(90))), (Some(at(93)), false));
        assert_eq!(tag.clone().hear(moved(), 2), None, "once");
        let [granted, renewed, _] = told();
        let early = PersonTag::unknown(Uuid::from_u128(1)).hear(moved(), 2).unwrap();
        assert_eq!(early.hear(granted.0, granted.1), Some(tag.clone()));
        let renewed = tag.hear(renewed.0, renewed.1).unwrap();
        assert_eq!(renewed.review_at, Some(at(180)));
        assert_eq!(renewed.hear(moved(), 2), None, "what is over moves nothing");
    }

    #[test]
    fn past_its_review_day_it_speaks_for_nobody() {
        let tag = after(&[0]);
        assert!(!tag.review_due(at(89)));
        assert!(tag.review_due(at(90)));
        assert!(!after(&[0, 1]).review_due(at(90)));
    }
}
