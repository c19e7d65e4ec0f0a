//! Tails of counts, computed term by term: exact to rounding for the counts that occur here, and without a dependency.

/// Terms below this share of the sum end it.
const NEGLIGIBLE: f64 = 1e-16;
/// No sum is longer; counts of a week are far below.
const MOST_TERMS: u64 = 10_000_000;

/// P(X ≥ `count`) for a negative-binomial X of this mean and variance; Poisson where the variance is not greater.
/// A mean that is not positive gives 1 for 0 and 0 for everything else.
pub fn at_least(count: i64, mean: f64, variance: f64) -> f64 {
    let Ok(count) = u64::try_from(count) else { return 1.0 };
    if count == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let excess = variance - mean;
    let (first, ratio): (f64, Box<dyn Fn(u64) -> f64>) = if excess > mean * 1e-9 {
        let size = mean * mean / excess;
        let success = mean / (size + mean);
        let k = count as f64;
        let ln = ln_gamma(k + size) - ln_gamma(size) - ln_gamma(k + 1.0)
            + size * (size / (size + mean)).ln()
            + k * success.ln();
        (ln.exp(), Box::new(move |k| (k as f64 + size) / (k as f64 + 1.0) * success))
    } else {
        let k = count as f64;
        ((k * mean.ln() - mean - ln_gamma(k + 1.0)).exp(), Box::new(move |k| mean / (k as f64 + 1.0)))
    };
    if (count as f64) > mean {
        upward(count, first, &ratio)
    } else {
        // The upper sum is long and near 1 here: what lies below is short.
        let mut term = first;
        let mut below = 0.0;
        for k in (0..count).rev() {
            term /= ratio(k);
            below += term;
        }
        (1.0 - below).clamp(0.0, 1.0)
    }
}

fn upward(from: u64, first: f64, ratio: &dyn Fn(u64) -> f64) -> f64 {
    let (mut term, mut sum) = (first, first);
    for k in from..from + MOST_TERMS {
        term *= ratio(k);
        sum += term;
        if term <= sum * NEGLIGIBLE {
            break;
        }
    }
    sum.clamp(0.0, 1.0)
}

/// P(X ≤ `count`) for X of `trials` independent trials that succeed with probability `p`.
pub fn binomial_at_most(count: i64, trials: i64, p: f64) -> f64 {
    if count >= trials || p <= 0.0 {
        return 1.0;
    }
    if count < 0 || p >= 1.0 {
        return 0.0;
    }
    let n = trials as f64;
    let ln_choose = |k: f64| ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
    let term = |k: i64| (ln_choose(k as f64) + k as f64 * p.ln() + (n - k as f64) * (1.0 - p).ln()).exp();
    (0..=count).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// ln Γ(x) for x > 0 (Lanczos, g = 7): relative error below 1e-13.
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection.
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let base = x + 7.5;
    let series: f64 = COEFFICIENTS.iter().enumerate().map(|(n, c)| c / (x + n as f64 + 1.0)).sum::<f64>()
        + 0.999_999_999_999_809_9;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * base.ln() - base + series.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() <= wanted.abs() * 1e-9 + 1e-15, "{got} is not {wanted}");
    }

    #[test]
    fn poisson_tails_are_those_of_the_tables() {
        // P(X ≥ 10 | 5) and P(X ≥ 3 | 0.5), from the sums of their terms.
        near(at_least(10, 5.0, 5.0), 0.031_828_057_306_204_82);
        near(at_least(3, 0.5, 0.5), 0.014_387_677_966_970_687);
        near(at_least(1, 0.1, 0.1), 1.0 - (-0.1_f64).exp());
        near(at_least(2, 9.0, 9.0), 1.0 - 10.0 * (-9.0_f64).exp());
        assert_eq!(at_least(0, 3.0, 3.0), 1.0);
        assert_eq!(at_least(4, 0.0, 0.0), 0.0);
    }

    #[test]
    fn negative_binomial_tails_are_those_of_the_geometric() {
        // Size 1 is the geometric distribution: P(X ≥ k) = (m / (1 + m))^k.
        for mean in [0.3_f64, 1.0, 4.0] {
            for k in [1_i32, 3, 8, 30] {
                near(at_least(i64::from(k), mean, mean + mean * mean), (mean / (1.0 + mean)).powi(k));
            }
        }
    }

    #[test]
    fn more_variance_makes_the_far_tail_likelier_and_tails_fall() {
        for k in 1..60 {
            let (narrow, wide) = (at_least(k + 20, 8.0, 8.0), at_least(k + 20, 8.0, 24.0));
            assert!(narrow < wide, "{k}");
            assert!(at_least(k + 1, 8.0, 12.0) <= at_least(k, 8.0, 12.0));
        }
        let far = at_least(200, 8.0, 8.0);
        assert!(far > 0.0 && far < 1e-150, "{far}");
    }

    #[test]
    fn binomial_tails_are_those_of_coins() {
        near(binomial_at_most(0, 10, 0.5), 1.0 / 1024.0);
        near(binomial_at_most(2, 10, 0.5), 56.0 / 1024.0);
        near(binomial_at_most(1, 4, 0.25), 0.738_281_25);
        assert_eq!((binomial_at_most(4, 4, 0.3), binomial_at_most(-1, 4, 0.3)), (1.0, 0.0));
    }

    #[test]
    fn ln_gamma_of_whole_numbers_is_that_of_factorials() {
        let mut factorial = 1.0_f64;
        for n in 1..30_u32 {
            factorial *= f64::from(n);
            assert!((ln_gamma(f64::from(n) + 1.0) - factorial.ln()).abs() < 1e-11, "{n}");
        }
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
        near(ln_gamma(0.25), 1.288_022_524_698_077_4);
    }
}
