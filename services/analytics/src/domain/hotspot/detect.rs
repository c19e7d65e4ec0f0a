//! What is too much on a day: expectation and probability of every cell, and the cells that stay significant among all.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Method, tail};

/// Weight of the pooled dispersion against a cell's own, in degrees of freedom.
const SHRINK: f64 = 24.0;
/// No over-dispersion is taken for greater.
const MOST_DISPERSION: f64 = 20.0;
/// Cases by which the season is shrunk towards 1, and its bounds.
const SEASON_SHRINK: f64 = 10.0;
const SEASON_BOUNDS: (f64, f64) = (0.5, 2.0);

/// A place and an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Any unit of the tree, with everything below it.
    pub unit_id: Uuid,
    /// Item of the catalogue.
    pub item_code: String,
}

/// Cases of one item at a leaf in one window; window 0 is the one in question, 1 the one before it, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCount {
    /// Deepest unit of the place.
    pub unit_id: Uuid,
    /// Item.
    pub item_code: String,
    /// Number of the window.
    pub window: usize,
    /// Cases.
    pub count: i64,
}

/// What a day is judged by.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Counts of leaves; windows without a case are left out.
    pub leaves: Vec<LeafCount>,
    /// Whole windows before the one in question that the history covers.
    pub covered: usize,
    /// Factor of the season by item; 1 where there is none.
    pub seasons: HashMap<String, f64>,
}

/// What the cell's own history says about its window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Cases in the window.
    pub count: i64,
    /// Cases expected.
    pub expected: f64,
    /// Variance of what is expected.
    pub variance: f64,
    /// Probability of so many or more.
    pub p_value: f64,
    /// Windows behind the expectation.
    pub windows: usize,
    /// Variance over mean of the counts.
    pub dispersion: f64,
    /// Factor of the season.
    pub season: f64,
}

impl Verdict {
    /// How many times the expectation.
    pub fn ratio(&self) -> f64 {
        self.count as f64 / self.expected
    }

    /// Whether it is enough to matter, whatever its probability.
    pub fn matters(&self, method: &Method) -> bool {
        self.count >= method.min_count && self.ratio() >= method.min_ratio
    }

    /// What remains when others explain a part of it.
    fn without(&self, count: i64, expected: f64) -> Self {
        let floor = self.expected * 0.01;
        let rest = (self.expected - expected).max(floor);
        let (count, variance) = ((self.count - count).max(0), self.variance * rest / self.expected);
        let p_value = tail::at_least(count, rest, variance);
        Self { count, expected: rest, variance, p_value, ..*self }
    }
}

/// The counts of every cell at every level, ready to be judged.
#[derive(Debug)]
pub struct Field {
    cells: BTreeMap<Cell, Vec<i64>>,
    /// Root → the unit itself, for every unit of a cell.
    paths: HashMap<Uuid, Vec<Uuid>>,
    covered: usize,
    seasons: HashMap<String, f64>,
    /// By depth and item, and by depth alone.
    pooled: HashMap<(usize, String), f64>,
}

/// Sum of squares over means, and degrees of freedom.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    squares: f64,
    freedom: f64,
}

impl Spread {
    fn of(counts: &[i64]) -> Self {
        let total: i64 = counts.iter().sum();
        if total == 0 || counts.len() < 2 {
            return Self::default();
        }
        let mean = total as f64 / counts.len() as f64;
        let squares = counts.iter().map(|n| (*n as f64 - mean).powi(2) / mean).sum();
        Self { squares, freedom: counts.len() as f64 - 1.0 }
    }

    fn add(&mut self, other: Self) {
        self.squares += other.squares;
        self.freedom += other.freedom;
    }

    /// Shrunk towards what is known otherwise.
    fn dispersion(self, known: f64) -> f64 {
        ((self.squares + SHRINK * known) / (self.freedom + SHRINK)).clamp(1.0, MOST_DISPERSION)
    }
}

impl Field {
    /// Adds the leaves up along their paths. Leaves without a path are in no cell.
    pub fn new(counts: Counts, paths: HashMap<Uuid, Vec<Uuid>>, method: &Method) -> Self {
        let mut cells: BTreeMap<Cell, Vec<i64>> = BTreeMap::new();
        for leaf in &counts.leaves {
            for unit in paths.get(&leaf.unit_id).into_iter().flatten() {
                let cell = Cell { unit_id: *unit, item_code: leaf.item_code.clone() };
                let windows = cells.entry(cell).or_insert_with(|| vec![0; method.windows()]);
                if let Some(window) = windows.get_mut(leaf.window) {
                    *window += leaf.count;
                }
            }
        }
        let covered = counts.covered.min(method.windows() - 1);
        let mut field = Self { cells, paths, covered, seasons: counts.seasons, pooled: HashMap::new() };
        field.pool(method);
        field
    }

    /// Dispersion of each item at each level over all cells, shrunk towards that of all items of the level.
    fn pool(&mut self, method: &Method) {
        let (mut levels, mut items): (HashMap<usize, Spread>, HashMap<(usize, String), Spread>) =
            Default::default();
        for (cell, counts) in &self.cells {
            let spread = Spread::of(baseline(counts, 1, self.covered, method));
            let depth = self.depth(cell.unit_id);
            levels.entry(depth).or_default().add(spread);
            items.entry((depth, cell.item_code.clone())).or_default().add(spread);
        }
        self.pooled = items
            .into_iter()
            .map(|((depth, item), spread)| {
                let level = levels.get(&depth).copied().unwrap_or_default().dispersion(1.0);
                ((depth, item), spread.dispersion(level))
            })
            .collect();
    }

    fn depth(&self, unit: Uuid) -> usize {
        self.paths.get(&unit).map_or(0, Vec::len)
    }

    /// Whether there is enough history to judge by.
    pub fn is_judged(&self, method: &Method) -> bool {
        self.covered >= method.least_baseline
    }

    /// What a cell's history says; `age` is how many days ago the excess began, if it is under way: then the history
    /// before that counts. `None` where there is too little of it.
    pub fn verdict(&self, cell: &Cell, age: Option<i64>, method: &Method) -> Option<Verdict> {
        let none = vec![0; method.windows()];
        let counts = self.cells.get(cell).unwrap_or(&none);
        let first = 1 + usize::try_from(age.unwrap_or(0) / super::WINDOW_DAYS).unwrap_or(0);
        let before = baseline(counts, first, self.covered, method);
        let least = if age.is_some() { 1 } else { method.least_baseline };
        if before.len() < least {
            return None;
        }
        let windows = before.len() as f64;
        let mean = (before.iter().sum::<i64>() as f64 + 0.5) / windows;
        let season = self.seasons.get(&cell.item_code).copied().unwrap_or(1.0);
        let pooled =
            self.pooled.get(&(self.depth(cell.unit_id), cell.item_code.clone())).copied().unwrap_or(1.0);
        let dispersion = pooled.max(Spread::of(before).dispersion(pooled));
        let expected = mean * season;
        let variance = dispersion * expected * (1.0 + season / windows);
        let count = counts[0];
        let p_value = tail::at_least(count, expected, variance);
        Some(Verdict { count, expected, variance, p_value, windows: before.len(), dispersion, season })
    }

    /// Every cell with its verdict.
    pub fn verdicts(&self, method: &Method) -> Vec<(Cell, Verdict)> {
        let judged =
            self.cells.keys().filter_map(|cell| Some((cell.clone(), self.verdict(cell, None, method)?)));
        judged.collect()
    }

    /// Of what is too much, the deepest that explains it. `standing` are cells that are known to be hot already: what
    /// lies above them is not found for their sake.
    pub fn deepest(
        &self,
        mut found: Vec<(Cell, Verdict)>,
        standing: &[(Cell, Verdict)],
        threshold: f64,
        method: &Method,
    ) -> Vec<(Cell, Verdict)> {
        found.sort_by(|(a, _), (b, _)| {
            self.depth(b.unit_id).cmp(&self.depth(a.unit_id)).then_with(|| a.cmp(b))
        });
        let mut kept: Vec<(Cell, Verdict)> = standing.to_vec();
        let known = kept.len();
        for (cell, verdict) in found {
            let rest = self.rest(&cell, verdict, &kept);
            if rest.p_value <= threshold && rest.matters(method) {
                kept.push((cell, verdict));
            }
        }
        kept.split_off(known)
    }

    /// What remains of a cell when the hot ones below it explain their parts.
    pub fn rest(&self, cell: &Cell, verdict: Verdict, hot: &[(Cell, Verdict)]) -> Verdict {
        let is_part =
            |other: &Cell| other.item_code == cell.item_code && self.is_below(other.unit_id, cell.unit_id);
        let below: Vec<&(Cell, Verdict)> = hot.iter().filter(|(other, _)| is_part(other)).collect();
        // Only the topmost of what lies below: the others are part of them.
        let parts = below
            .iter()
            .filter(|(part, _)| !below.iter().any(|(other, _)| self.is_below(part.unit_id, other.unit_id)));
        let (count, expected) = parts.fold((0, 0.0), |(n, e), (_, part)| (n + part.count, e + part.expected));
        if count == 0 { verdict } else { verdict.without(count, expected) }
    }

    fn is_below(&self, unit: Uuid, above: Uuid) -> bool {
        unit != above && self.paths.get(&unit).is_some_and(|path| path.contains(&above))
    }
}

/// The windows that make the expectation, from the `first` on.
fn baseline<'a>(counts: &'a [i64], first: usize, covered: usize, method: &Method) -> &'a [i64] {
    let end = (first + method.baseline).min(covered + 1).min(counts.len());
    counts.get(first..end).unwrap_or_default()
}

/// The greatest p-value that is rejected at this false discovery rate (Benjamini–Hochberg); 0 when none is.
pub fn threshold(p_values: impl Iterator<Item = f64>, rate: f64) -> f64 {
    let mut sorted: Vec<f64> = p_values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let tests = sorted.len() as f64;
    let rejected = sorted.iter().enumerate().rev().find(|(n, p)| **p <= rate * (*n as f64 + 1.0) / tests);
    rejected.map_or(0.0, |(_, p)| *p)
}

/// The factor of the season: how a window of last year stood to those before it, shrunk towards 1 and bounded.
pub fn season(then: i64, before: &[i64]) -> f64 {
    if before.is_empty() {
        return 1.0;
    }
    let mean = before.iter().sum::<i64>() as f64 / before.len() as f64;
    ((then as f64 + SEASON_SHRINK) / (mean + SEASON_SHRINK)).clamp(SEASON_BOUNDS.0, SEASON_BOUNDS.1)
}
