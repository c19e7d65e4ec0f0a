//! Conditions of entries of the responsibility list: an entry applies only where the facts of the case are among those that it
//! names. A small closed vocabulary, read strictly, written back in one form:
//!
//! ```text
//! urgency=urgent|emergency & channel!=external & time=off & hours=22:00-06:00
//! ```
//!
//! All terms must hold; a term holds if the fact has one of its values, with `!=` if it has none of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::codes::{Channel, Nature, Origin, UnitKind, Urgency};

/// Longest condition, in bytes.
const MOST_BYTES: usize = 400;

/// What is known of a case besides its place, urgency and the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub nature: Nature,
    pub origin: Origin,
    pub channel: Channel,
    pub vulnerable: bool,
    pub anonymous: bool,
}

impl Facts {
    /// Of somebody who asks at the window, in their own name, for what is known no better.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            nature: Nature::Help,
            origin: Origin::BottomUp,
            channel: Channel::Window,
            vulnerable: false,
            anonymous: false,
        }
    }
}

/// All that conditions are judged by; kept with a decision that judged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    pub urgency: Urgency,
    pub nature: Nature,
    pub origin: Origin,
    pub channel: Channel,
    pub vulnerable: bool,
    pub anonymous: bool,
    /// Kind of the deepest unit known; unset where that is none of the tree.
    pub place: Option<UnitKind>,
    /// Within the office's working time.
    pub working: bool,
    /// Local minute of the day.
    pub minute: u16,
}

/// A fact that a term may ask for. The order is that of the written form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Urgency,
    Nature,
    Origin,
    Channel,
    Vulnerable,
    Anonymous,
    Place,
    Time,
    Hours,
}

const FACTS: [(&str, Fact); 9] = [
    ("urgency", Fact::Urgency),
    ("nature", Fact::Nature),
    ("origin", Fact::Origin),
    ("channel", Fact::Channel),
    ("vulnerable", Fact::Vulnerable),
    ("anonymous", Fact::Anonymous),
    ("place", Fact::Place),
    ("time", Fact::Time),
    ("hours", Fact::Hours),
];

/// A value: of a closed vocabulary, or from a minute of the day to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Word(&'static str),
    Span(u16, u16),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    fact: Fact,
    not: bool,
    values: Vec<Value>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    terms: Vec<Term>,
}

/// A text that is no condition: which term, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("term {term}: {problem}")]
pub struct NoCondition {
    pub term: usize,
    pub problem: &'static str,
}

impl Fact {
    fn name(self) -> &'static str {
        FACTS.iter().find(|(_, fact)| *fact == self).map_or("", |(name, _)| name)
    }

    fn words(self) -> Vec<&'static str> {
        match self {
            Self::Urgency => Urgency::ALL.iter().map(|word| word.as_str()).collect(),
            Self::Nature => Nature::ALL.iter().map(|word| word.as_str()).collect(),
            Self::Origin => Origin::ALL.iter().map(|word| word.as_str()).collect(),
            Self::Channel => Channel::ALL.iter().map(|word| word.as_str()).collect(),
            Self::Place => UnitKind::ALL.iter().map(|word| word.as_str()).collect(),
            Self::Vulnerable | Self::Anonymous => vec![YES, NO],
            Self::Time => vec![WORKING, OFF],
            Self::Hours => Vec::new(),
        }
    }
}

const YES: &str = "yes";
const NO: &str = "no";
const WORKING: &str = "working";
const OFF: &str = "off";

impl Circumstances {
    fn word(&self, fact: Fact) -> &'static str {
        let either = |is: bool, yes, no| if is { yes } else { no };
        match fact {
            Fact::Urgency => self.urgency.as_str(),
            Fact::Nature => self.nature.as_str(),
            Fact::Origin => self.origin.as_str(),
            Fact::Channel => self.channel.as_str(),
            Fact::Vulnerable => either(self.vulnerable, YES, NO),
            Fact::Anonymous => either(self.anonymous, YES, NO),
            Fact::Place => self.place.map_or("", UnitKind::as_str),
            Fact::Time => either(self.working, WORKING, OFF),
            Fact::Hours => "",
        }
    }

    /// As a reason shows it.
    fn told(&self, fact: Fact) -> String {
        match fact {
            Fact::Hours => clock(self.minute),
            fact => self.word(fact).to_owned(),
        }
    }
}

impl Term {
    fn holds(&self, at: &Circumstances) -> bool {
        let among = self.values.iter().any(|value| match value {
            Value::Word(word) => *word == at.word(self.fact),
            Value::Span(from, to) if from < to => (*from..*to).contains(&at.minute),
            Value::Span(from, to) => at.minute >= *from || at.minute < *to,
        });
        among != self.not
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, values, not) = match (text.split_once("!="), text.split_once('=')) {
            (Some((name, values)), _) => (name, values, true),
            (None, Some((name, values))) => (name, values, false),
            (None, None) => return Err("is not of the form fact=value|value"),
        };
        let fact = FACTS.iter().find(|(known, _)| *known == name.trim());
        let fact = fact.ok_or("asks for no known fact")?.1;
        let words = fact.words();
        let mut parsed = Vec::new();
        for value in values.split('|').map(str::trim) {
            let value = if fact == Fact::Hours {
                span(value).ok_or("hours are written 22:00-06:00")?
            } else {
                let known = words.iter().find(|word| **word == value);
                Value::Word(known.ok_or("names a value that the fact does not have")?)
            };
            if parsed.contains(&value) {
                return Err("names a value twice");
            }
            parsed.push(value);
        }
        let place = |value: &Value| words.iter().position(|word| Value::Word(word) == *value);
        parsed.sort_by_key(|value| (place(value), *value));
        if !words.is_empty() && parsed.len() == words.len() {
            return Err("names every value, so that it says nothing");
        }
        Ok(Self { fact, not, values: parsed })
    }
}

/// `22:00-06:00`.
fn span(text: &str) -> Option<Value> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
        let (hour, minute) = (two(hour)?, two(minute)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to).then_some(Value::Span(from, to))
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl Condition {
    /// Whether every term holds.
    #[must_use]
    pub fn holds(&self, at: &Circumstances) -> bool {
        self.terms.iter().all(|term| term.holds(at))
    }

    /// The first term that does not hold, with what was found instead.
    #[must_use]
    pub fn unmet(&self, at: &Circumstances) -> Option<(String, String)> {
        let term = self.terms.iter().find(|term| !term.holds(at))?;
        Some((term.to_string(), format!("{}={}", term.fact.name(), at.told(term.fact))))
    }
}

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        if text.len() > MOST_BYTES {
            return Err(NoCondition { term: 1, problem: "a condition has at most 400 bytes" });
        }
        let mut terms: Vec<Term> = Vec::new();
        for (number, part) in text.split('&').enumerate() {
            let wrong = |problem| NoCondition { term: number + 1, problem };
            let term = Term::parse(part).map_err(wrong)?;
            if terms.iter().any(|known| known.fact == term.fact) {
                return Err(wrong("asks for the same fact as a term before"));
            }
            terms.push(term);
        }
        terms.sort_by_key(|term| term.fact);
        Ok(Self { terms })
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.fact.name(), if self.not { "!=" } else { "=" })?;
        for (number, value) in self.values.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "|" })?;
            match value {
                Value::Word(word) => f.write_str(word)?,
                Value::Span(from, to) => write!(f, "{}-{}", clock(*from), clock(*to))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, term) in self.terms.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { " & " })?;
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NIGHT: Circumstances = Circumstances {
        urgency: Urgency::Urgent,
        nature: Nature::Component,
        origin: Origin::Patrol,
        channel: Channel::Patrol,
        vulnerable: false,
        anonymous: true,
        place: Some(UnitKind::Courtyard),
        working: false,
        minute: 23 * 60 + 30,
    };

    fn holds(text: &str) -> bool {
        text.parse::<Condition>().unwrap().holds(&NIGHT)
    }

    #[test]
    fn every_fact_can_be_asked_for_and_denied() {
        let true_ones = [
            "urgency=urgent|emergency",
            "nature=component",
            "origin!=bottom_up",
            "channel=patrol|worker",
            "vulnerable=no",
            "anonymous=yes",
            "place=courtyard|doorway",
            "time=off",
            "hours=22:00-06:00",
            "hours=23:30-23:31",
            "hours!=08:00-23:30",
            "urgency!=normal & time=off & hours=22:00-06:00|12:00-13:00",
        ];
        for text in true_ones {
            assert!(holds(text), "{text}");
            let denied = match text.contains("!=") {
                true => text.replacen("!=", "=", 1),
                false => text.replacen('=', "!=", 1),
            };
            assert!(!holds(&denied), "{denied}");
        }
        let nowhere = Circumstances { place: None, ..NIGHT };
        assert!(!"place=street".parse::<Condition>().unwrap().holds(&nowhere));
        let unmet = "time=off & urgency=normal".parse::<Condition>().unwrap().unmet(&NIGHT);
        assert_eq!(unmet, Some(("urgency=normal".to_owned(), "urgency=urgent".to_owned())));
        let early = "hours=06:00-07:00".parse::<Condition>().unwrap().unmet(&NIGHT).unwrap();
        assert_eq!(early.1, "hours=23:30");
    }

    #[test]
    fn a_text_is_read_strictly_and_the_term_is_named() {
        let wrong = [
            ("", 1),
            ("urgency", 1),
            ("urgency=high", 1),
            ("Urgency=urgent", 1),
            ("urgency=urgent|", 1),
            ("urgency=urgent|urgent", 1),
            ("urgency=normal|urgent|emergency", 1),
            ("vulnerable=yes & weather=rain", 2),
            ("vulnerable=yes & vulnerable!=no", 2),
            ("vulnerable=yes &", 2),
            ("hours=6:00-07:00", 1),
            ("hours=24:00-07:00", 1),
            ("hours=07:00-07:00", 1),
            ("hours=07:00", 1),
            ("urgency==urgent", 1),
        ];
        for (text, term) in wrong {
            assert_eq!(text.parse::<Condition>().unwrap_err().term, term, "{text}");
        }
        assert!("x".repeat(401).parse::<Condition>().is_err());
    }

    proptest! {
        /// Whatever order and blanks it is written in, it is written back in one form, which means the same.
        #[test]
        fn the_written_form_is_one_and_means_the_same(
            picks in proptest::collection::vec((0..9_usize, any::<bool>(), 1..3_usize, 0..7_usize, 0..1439_u16), 1..6),
            minute in 0..1440_u16, working: bool, urgency in 0..3_usize,
        ) {
            let mut seen = Vec::new();
            let mut texts = Vec::new();
            for (fact, not, count, first, from) in picks {
                let (name, fact) = FACTS[fact];
                if seen.contains(&name) { continue; }
                seen.push(name);
                let words = fact.words();
                let values: Vec<String> = if words.is_empty() {
                    vec![format!("{}-{}", clock(from), clock(from + 1))]
                } else {
                    let count = count.min(words.len() - 1);
                    (0..count).map(|n| words[(first + n) % words.len()].to_owned()).collect()
                };
                texts.push(format!(" {name} {} {} ", if not { "!=" } else { "=" }, values.join(" | ")));
            }
            let one: Condition = texts.join("&").parse().unwrap();
            texts.reverse();
            let other: Condition = texts.join("&").parse().unwrap();
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.to_string().parse::<Condition>().unwrap(), one.clone());
            let at = Circumstances { minute, working, urgency: Urgency::ALL[urgency], ..NIGHT };
            prop_assert_eq!(one.holds(&at), one.unmet(&at).is_none());
            let json = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), one);
        }
    }
}
