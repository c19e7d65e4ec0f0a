//! Indicators as versioned definitions (domain.md §4): data, read from `data/indicators.toml`, so that a city's own
//! method is another definition and not other code. A denominator of 0 gives no value, never 0 % or 100 %.

use std::{collections::BTreeMap, sync::LazyLock};

use proto::case_routing::v1::LimitUnit;
use serde::Deserialize;

use super::{
    Counter, Counters,
    vocabulary::{CLOCK_UNITS, limit_unit_name},
};

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::from_toml(include_str!("../../data/indicators.toml"))
        .expect("a test reads the embedded definitions")
});

/// The definitions in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    definitions: Vec<Definition>,
}

/// What can be wrong with a file of definitions.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Not the expected form.
    #[error("the definitions cannot be read: {0}")]
    Form(#[from] toml::de::Error),
    /// A definition that makes no sense.
    #[error("{code}: {problem}")]
    Definition {
        /// Its code.
        code: String,
        /// What is wrong.
        problem: String,
    },
}

/// One versioned definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Code of domain §4, such as `I-07`; a part or variant has a suffix.
    pub code: String,
    /// Grows when the formula changes.
    pub version: i32,
    /// Name in Chinese.
    pub name_zh: String,
    /// Name in English.
    pub name_en: String,
    /// How it is computed.
    pub formula: Formula,
    /// By which days its cases count.
    pub cohort: Cohort,
    /// What is better.
    pub direction: Direction,
    /// Named set of methods.
    pub profile: String,
    /// Counted beside the value: cases left out of both sides.
    pub deferred: Sum,
    /// Shown on the board.
    pub board: bool,
}

/// How a value is computed from counters.
#[derive(Debug, Clone, PartialEq)]
pub enum Formula {
    /// A share or a mean.
    Ratio(Sum, Sum),
    /// A number of cases.
    Count(Sum),
    /// A mean, less the same mean a year before.
    YearChange(Sum, Sum),
    /// Working days from the days of which the numbers are summed to the end of the period, for so many cases.
    WorkDays {
        /// The cases.
        cases: Sum,
        /// Sum of the working-day numbers of their days.
        numbers: Sum,
    },
    /// The mean of the resolve clocks in this unit, in seconds.
    MeanClock(LimitUnit),
    /// A quantile of them, in seconds.
    Quantile(f64, LimitUnit),
    /// Weighted mean of other indicators, Σ w = 1.
    Composite(Vec<(String, f64)>),
}

/// A signed sum of counters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sum(Vec<(i64, Counter)>);

/// Which facts count in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cohort {
    /// Registered in the period.
    Intake,
    /// First dispatched in the period.
    Dispatch,
    /// Attributed to the period by the earlier of due and completion day.
    Due,
    /// Closed in the period.
    Closed,
    /// Tasks issued or submitted in the period.
    Task,
    /// Completed in the period with a call-back due.
    Callback,
    /// Rated in the period.
    Rating,
    /// Opened for mediation in the period, or agreed to be performed in it.
    Mediation,
    /// As things stand at the end of the period, whenever they began.
    Stock,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    HigherIsBetter,
    /// Less is better.
    LowerIsBetter,
    /// Neither.
    Neutral,
}

#[derive(Deserialize)]
struct File {
    indicator: Vec<Raw>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    code: String,
    version: i32,
    name_zh: String,
    name_en: String,
    cohort: Cohort,
    direction: Direction,
    profile: String,
    numerator: Option<Vec<String>>,
    denominator: Option<Vec<String>>,
    quantile: Option<f64>,
    /// One indicator for each unit of the resolve clock: times of different units are never in one figure.
    #[serde(default)]
    by_clock_unit: bool,
    #[serde(skip)]
    clock_unit: Option<LimitUnit>,
    #[serde(default)]
    work_day_numbers: Vec<String>,
    #[serde(default)]
    year_change: bool,
    #[serde(default)]
    weights: BTreeMap<String, f64>,
    #[serde(default)]
    deferred: Vec<String>,
    #[serde(default)]
    board: bool,
}

impl Catalogue {
    /// The definitions of this build.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Reads definitions; the order of the file is kept.
    pub fn from_toml(text: &str) -> Result<Self, DefinitionError> {
        let file: File = toml::from_str(text)?;
        let mut definitions: Vec<Definition> = Vec::new();
        for raw in file.indicator.into_iter().flat_map(Raw::variants) {
            let code = raw.code.clone();
            let wrong = |problem: String| DefinitionError::Definition { code: code.clone(), problem };
            let definition = Definition::try_from(raw).map_err(wrong)?;
            if definitions.iter().any(|d| d.code == definition.code) {
                return Err(wrong("is defined twice".to_owned()));
            }
            if let Formula::Composite(parts) = &definition.formula {
                let sum: f64 = parts.iter().map(|(_, weight)| weight).sum();
                if (sum - 1.0).abs() > 1e-9 {
                    return Err(wrong(format!("its weights add up to {sum}, not to 1")));
                }
                if let Some((part, _)) = parts.iter().find(|(p, _)| !definitions.iter().any(|d| d.code == *p))
                {
                    return Err(wrong(format!("{part} is not defined before it")));
                }
            }
            definitions.push(definition);
        }
        Ok(Self { definitions })
    }

    /// All definitions.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The definition of this code.
    pub fn get(&self, code: &str) -> Option<&Definition> {
        self.definitions.iter().find(|d| d.code == code)
    }
}

impl Raw {
    /// One for each unit of the resolve clock, where it is asked for.
    fn variants(self) -> Vec<Self> {
        if !self.by_clock_unit {
            return vec![self];
        }
        let of = |(unit, name_zh, name_en): (LimitUnit, &str, &str)| Self {
            code: format!("{}-{}", self.code, limit_unit_name(unit)),
            name_zh: format!("{}·{name_zh}", self.name_zh),
            name_en: format!("{}, {name_en}", self.name_en),
            clock_unit: Some(unit),
            ..self.clone()
        };
        CLOCK_UNITS.into_iter().map(of).collect()
    }
}

impl TryFrom<Raw> for Definition {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let (numbers, deferred) = (Sum::parse(&raw.work_day_numbers)?, Sum::parse(&raw.deferred)?);
        let (plain, unit) = (raw.weights.is_empty(), raw.clock_unit);
        let mut formula = match (raw.numerator, raw.denominator, raw.quantile, plain, unit) {
            (Some(n), Some(d), None, true, None) => Formula::Ratio(Sum::parse(&n)?, Sum::parse(&d)?),
            (Some(n), None, None, true, None) => Formula::Count(Sum::parse(&n)?),
            (None, None, None, true, Some(unit)) => Formula::MeanClock(unit),
            (None, None, Some(q), true, Some(unit)) if (0.0..=1.0).contains(&q) => Formula::Quantile(q, unit),
            (None, None, None, false, None) => Formula::Composite(raw.weights.into_iter().collect()),
            _ => {
                return Err(
                    "needs numerator and denominator, a numerator alone, weights, or clock units with \
                            or without a quantile"
                        .into(),
                );
            }
        };
        if raw.year_change {
            let Formula::Ratio(n, d) = formula else {
                return Err("a change against last year needs numerator and denominator".into());
            };
            formula = Formula::YearChange(n, d);
        }
        if !numbers.0.is_empty() {
            let (Formula::Count(cases), Cohort::Stock) = (formula, raw.cohort) else {
                return Err("working days are those of a numerator of the stock".into());
            };
            formula = Formula::WorkDays { cases, numbers };
        }
        let counters: Vec<Counter> = formula.counters().chain(deferred.counters()).collect();
        if raw.cohort == Cohort::Stock
            && let Some(other) = counters.iter().find(|counter| !Counter::STOCK.contains(counter))
        {
            return Err(format!("{} is not kept for the stock", other.name()));
        }
        Ok(Self {
            code: raw.code,
            version: raw.version,
            name_zh: raw.name_zh,
            name_en: raw.name_en,
            formula,
            cohort: raw.cohort,
            direction: raw.direction,
            profile: raw.profile,
            deferred,
            board: raw.board,
        })
    }
}

impl Definition {
    /// Numerator and denominator as text.
    pub fn texts(&self) -> (String, String) {
        match &self.formula {
            Formula::Ratio(n, d) => (n.to_string(), d.to_string()),
            Formula::Count(n) => (n.to_string(), "1".to_owned()),
            Formula::YearChange(n, d) => {
                (format!("({n}) / ({d}) - the same a year before"), format!("({d}) * the same a year before"))
            }
            Formula::WorkDays { cases, numbers } => {
                (format!("({cases}) * number of the last working day - ({numbers})"), "1".to_owned())
            }
            Formula::MeanClock(unit) => {
                let clocks = format!("resolve clocks in {}", limit_unit_name(*unit));
                (format!("sum of the {clocks}, s"), clocks)
            }
            Formula::Quantile(q, unit) => {
                let clocks = format!("resolve clocks in {}", limit_unit_name(*unit));
                (format!("quantile {q} of the {clocks}, s"), clocks)
            }
            Formula::Composite(parts) => {
                let terms: Vec<String> = parts.iter().map(|(code, w)| format!("{w} * {code}")).collect();
                (terms.join(" + "), "1".to_owned())
            }
        }
    }
}

impl Formula {
    /// The counters that it is made of.
    fn counters(&self) -> impl Iterator<Item = Counter> {
        let sums = match self {
            Self::Ratio(above, below) | Self::YearChange(above, below) => vec![above, below],
            Self::Count(sum) => vec![sum],
            Self::WorkDays { cases, numbers } => vec![cases, numbers],
            Self::MeanClock(_) | Self::Quantile(..) | Self::Composite(_) => Vec::new(),
        };
        sums.into_iter().flat_map(Sum::counters)
    }
}

impl Sum {
    fn parse(terms: &[String]) -> Result<Self, String> {
        let parse = |term: &String| {
            let (sign, name) = match term.strip_prefix('-') {
                Some(name) => (-1, name),
                None => (1, term.as_str()),
            };
            Counter::by_name(name).map(|c| (sign, c)).ok_or_else(|| format!("{name} is no counter"))
        };
        terms.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    fn counters(&self) -> impl Iterator<Item = Counter> {
        self.0.iter().map(|(_, counter)| *counter)
    }

    pub(super) fn of(&self, counters: &Counters) -> i64 {
        self.0.iter().map(|(sign, counter)| sign * counters[*counter]).sum()
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (sign, counter)) in self.0.iter().enumerate() {
            match (place, *sign < 0) {
                (0, false) => {}
                (0, true) => f.write_str("-")?,
                (_, false) => f.write_str(" + ")?,
                (_, true) => f.write_str(" - ")?,
            }
            f.write_str(counter.name())?;
        }
        Ok(())
    }
}

impl Cohort {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Dispatch => "dispatch",
            Self::Due => "due",
            Self::Closed => "closed",
            Self::Task => "task",
            Self::Callback => "callback",
            Self::Rating => "rating",
            Self::Mediation => "mediation",
            Self::Stock => "stock",
        }
    }
}

impl Direction {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::HigherIsBetter => "higher_is_better",
            Self::LowerIsBetter => "lower_is_better",
            Self::Neutral => "neutral",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_definitions_can_be_read() {
        let catalogue = Catalogue::from_toml(include_str!("../../data/indicators.toml")).unwrap();
        for code in [
            "I-01",
            "I-01-closed",
            "I-01-open",
            "I-02",
            "I-03",
            "I-04",
            "I-05",
            "I-06",
            "I-07",
            "I-08",
            "I-09",
            "I-10",
            "I-11-work_day",
            "I-11-p50-cal_hour",
            "I-11-p90-month",
            "I-12",
            "I-13",
            "I-14",
            "I-15",
            "I-16",
            "I-17",
            "I-18",
            "I-19",
            "I-20",
            "I-21",
            "I-22",
            "I-34",
            "I-12-days",
            "I-13-reported",
            "I-13-solved",
            "I-13-needed",
            "I-56",
            "I-56-performed",
            "I-16-unreached",
            "I-17-partly",
        ] {
            assert!(catalogue.get(code).is_some(), "{code} is missing");
        }
        assert_eq!(catalogue.get("I-07").unwrap().texts().1, "due - due_deferred");
        assert!(catalogue.get("I-11").is_none(), "no figure is of more than one unit");
        let times = catalogue.definitions().iter().filter(|d| d.code.starts_with("I-11-"));
        assert_eq!(times.count(), 3 * CLOCK_UNITS.len());
        let days = catalogue.get("I-11-p50-work_day").unwrap();
        assert_eq!(days.texts().0, "quantile 0.5 of the resolve clocks in work_day, s");
        assert!(days.name_zh.ends_with("·工作日") && days.name_en.ends_with(", working days"), "{days:?}");
    }

    #[test]
    fn whatever_is_counted_of_call_backs_can_be_read_in_some_indicator() {
        let definitions = Catalogue::builtin().definitions();
        let read: Vec<Counter> = definitions.iter().flat_map(|d| d.formula.counters()).collect();
        let of_calls: Vec<&Counter> =
            Counter::ALL.iter().filter(|counter| counter.name().starts_with("callback_")).collect();
        assert!(of_calls.len() > 10, "{of_calls:?}");
        for counter in of_calls {
            assert!(read.contains(counter), "{} is in no indicator", counter.name());
        }
    }

    #[test]
    fn a_definition_that_makes_no_sense_is_refused_by_its_code() {
        let definition = |body: &str| {
            let head = "[[indicator]]\ncode='X-1'\nversion=1\nname_zh='甲'\nname_en='A'\ncohort='due'\n\
                        direction='neutral'\nprofile='p'\n";
            Catalogue::from_toml(&format!("{head}{body}"))
        };
        assert!(definition("numerator=['due']\ndenominator=['closed']").is_ok());
        assert!(definition("by_clock_unit=true").is_ok());
        for (body, problem) in [
            ("numerator=['due']\ndenominator=['nonsense']", "X-1: nonsense is no counter"),
            ("quantile=0.5\nnumerator=['due']", "X-1: needs numerator"),
            ("quantile=0.5", "X-1: needs numerator"),
            ("by_clock_unit=true\nquantile=1.5", "X-1-cal_hour: needs numerator"),
            ("numerator=['due']\nyear_change=true", "X-1: a change against last year"),
            ("numerator=['due']\nwork_day_numbers=['overdue_in_days']", "X-1: working days are those"),
            ("weights={'I-16'=0.5}", "X-1: its weights add up to 0.5"),
            ("weights={'I-16'=1.0}", "X-1: I-16 is not defined before it"),
        ] {
            let error = definition(body).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn the_stock_is_made_of_what_is_kept_for_it_and_of_nothing_else() {
        let definition = |body: &str| {
            let head = "[[indicator]]\ncode='X-2'\nversion=1\nname_zh='甲'\nname_en='A'\ncohort='stock'\n\
                        direction='neutral'\nprofile='p'\n";
            Catalogue::from_toml(&format!("{head}{body}"))
        };
        let late = "numerator=['overdue_in', '-overdue_out']";
        let numbers = "work_day_numbers=['overdue_in_days', '-overdue_out_days']";
        assert!(definition(&format!("{late}\n{numbers}")).is_ok());
        for (body, other) in [
            ("numerator=['registered', '-closed']".to_owned(), "registered"),
            (format!("{late}\ndenominator=['due']"), "due"),
            (format!("{late}\ndeferred=['due_deferred']"), "due_deferred"),
            (format!("{late}\nwork_day_numbers=['closed']"), "closed"),
        ] {
            let error = definition(&body).unwrap_err().to_string();
            assert_eq!(error, format!("X-2: {other} is not kept for the stock"));
        }
    }
}
