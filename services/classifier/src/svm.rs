//! Linear support vector machine for one class against the rest: squared hinge loss, L2 penalty (the intercept too),
//! solved in the dual by coordinate descent with shrinking (Hsieh et al., ICML 2008; what liblinear does).

use crate::text::mix;

/// Rows of sparse, non-negative-indexed features.
#[derive(Debug, Default)]
pub struct Rows {
    starts: Vec<usize>,
    items: Vec<(u32, f32)>,
    features: usize,
}

impl Rows {
    /// No rows yet, over so many features.
    pub fn new(features: usize) -> Self {
        Self { starts: vec![0], items: Vec::new(), features }
    }

    /// Adds a row; its features must be below the number given to `new`.
    pub fn push(&mut self, row: &[(u32, f32)]) {
        self.items.extend_from_slice(row);
        self.starts.push(self.items.len());
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[(u32, f32)] {
        &self.items[self.starts[index]..self.starts[index + 1]]
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.features
    }
}

/// How to solve.
#[derive(Clone, Copy, Debug)]
pub struct Solver {
    /// Price of an error against the size of the weights.
    pub c: f64,
    /// Stops where no projected gradient is farther than this from the others.
    pub tolerance: f64,
    /// Stops after so many passes over the rows.
    pub passes: usize,
    /// Order of the rows.
    pub seed: u64,
}

/// A plane: one weight a feature, and the intercept.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Weight by feature.
    pub weights: Vec<f64>,
    /// Intercept.
    pub bias: f64,
}

impl Plane {
    /// Signed distance of a row, in units of the margin.
    pub fn score(&self, row: &[(u32, f32)]) -> f64 {
        self.bias + row.iter().map(|(id, value)| self.weights[*id as usize] * f64::from(*value)).sum::<f64>()
    }
}

/// Separates the rows where `positive` from the others. `row_weight` multiplies the price of a row's errors. `prior`,
/// if given, says by feature how cheap a weight is: a feature with prior p behaves as if multiplied by √p.
pub fn solve(
    rows: &Rows,
    positive: &[bool],
    row_weight: &[f64],
    prior: Option<&[f64]>,
    solver: &Solver,
) -> Plane {
    let count = rows.len();
    let scale = |id: u32| prior.map_or(1.0, |prior| prior[id as usize]);
    let mut weights = vec![0.0; rows.features()];
    let mut bias = 0.0;
    let mut alpha = vec![0.0; count];
    let diagonal: Vec<f64> =
        row_weight.iter().map(|weight| if *weight > 0.0 { 0.5 / (solver.c * weight) } else { 0.0 }).collect();
    let curvature: Vec<f64> = (0..count)
        .map(|index| {
            let own: f64 =
                rows.row(index).iter().map(|(id, value)| scale(*id) * f64::from(*value).powi(2)).sum();
            own + 1.0 + diagonal[index]
        })
        .collect();
    let mut order: Vec<usize> = (0..count).filter(|index| row_weight[*index] > 0.0).collect();
    let mut active = order.len();
    let mut limit = f64::INFINITY;
    let mut state = solver.seed;
    for _ in 0..solver.passes {
        let (mut highest, mut lowest) = (f64::NEG_INFINITY, f64::INFINITY);
        for place in 0..active {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            order.swap(place, place + (mix(state) % (active - place) as u64) as usize);
        }
        let mut place = 0;
        while place < active {
            let index = order[place];
            let row = rows.row(index);
            let sign = if positive[index] { 1.0 } else { -1.0 };
            let own: f64 = row.iter().map(|(id, value)| weights[*id as usize] * f64::from(*value)).sum();
            let gradient = sign * (own + bias) - 1.0 + alpha[index] * diagonal[index];
            let mut projected = gradient;
            if alpha[index] == 0.0 {
                if gradient > limit {
                    active -= 1;
                    order.swap(place, active);
                    continue;
                }
                projected = gradient.min(0.0);
            }
            highest = highest.max(projected);
            lowest = lowest.min(projected);
            if projected.abs() > 1e-12 {
                let before = alpha[index];
                alpha[index] = (before - gradient / curvature[index]).max(0.0);
                let step = (alpha[index] - before) * sign;
                match prior {
                    None => {
                        row.iter().for_each(|(id, value)| weights[*id as usize] += step * f64::from(*value))
                    }
                    Some(prior) => row.iter().for_each(|(id, value)| {
                        weights[*id as usize] += step * prior[*id as usize] * f64::from(*value);
                    }),
                }
                bias += step;
            }
            place += 1;
        }
        if highest - lowest <= solver.tolerance {
            if active == order.len() {
                break;
            }
            active = order.len(); // look once more at the rows set aside
            limit = f64::INFINITY;
            continue;
        }
        limit = if highest <= 0.0 { f64::INFINITY } else { highest };
    }
    Plane { weights, bias }
}

/// Runs `job` for every index below `count` on all cores; the results are in order and depend on no timing.
pub fn parallel<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut found: Vec<(usize, T)> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if index >= count {
                    return mine;
                }
                mine.push((index, job(index)));
            }
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLVER: Solver = Solver { c: 1.0, tolerance: 1e-8, passes: 1000, seed: 1 };

    #[test]
    fn two_rows_on_a_line_have_the_plane_that_can_be_worked_out_by_hand() {
        // Rows x = 1 (positive) and x = -1: by symmetry bias 0; minimise w²/2 + 2·(1 - w)², so w = 4/5.
        let mut rows = Rows::new(1);
        rows.push(&[(0, 1.0)]);
        rows.push(&[(0, -1.0)]);
        let plane = solve(&rows, &[true, false], &[1.0, 1.0], None, &SOLVER);
        assert!((plane.weights[0] - 0.8).abs() < 1e-6, "{plane:?}");
        assert!(plane.bias.abs() < 1e-6, "{plane:?}");
    }

    #[test]
    fn a_prior_is_the_same_as_multiplying_the_feature_by_its_root() {
        let mut rows = Rows::new(2);
        let mut scaled = Rows::new(2);
        for row in [[0.5_f32, 1.0], [1.0, 0.25], [0.1, 0.9], [0.8, 0.3]] {
            rows.push(&[(0, row[0]), (1, row[1])]);
            scaled.push(&[(0, row[0] * 2.0), (1, row[1])]);
        }
        let positive = [true, false, true, false];
        let with = solve(&rows, &positive, &[1.0; 4], Some(&[4.0, 1.0]), &SOLVER);
        let by_hand = solve(&scaled, &positive, &[1.0; 4], None, &SOLVER);
        for index in 0..4 {
            assert!((with.score(rows.row(index)) - by_hand.score(scaled.row(index))).abs() < 1e-5);
        }
    }

    #[test]
    fn parallel_keeps_the_order() {
        assert_eq!(parallel(50, |index| index * 2), (0..50).map(|index| index * 2).collect::<Vec<_>>());
    }
}
