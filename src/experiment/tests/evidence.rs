use crate::experiment::{Count, Level};

fn count(successes: u64, trials: u64) -> Count {
    Count { successes, trials }
}

/// The mixture's likelihood by adding up over the rates instead of by beta functions.
fn evidence_by_integration(count: Count, rate: f64) -> f64 {
    const STEPS: u32 = 200_000;
    let (hits, misses) = (count.successes as f64, (count.trials - count.successes) as f64);
    let part = |weight: f64| {
        let (alpha, beta) = (weight * rate, weight * (1.0 - rate));
        let (mut with, mut without) = (0.0, 0.0);
        for step in 0..STEPS {
            // Places that are dense at both ends, where a beta density may have poles.
            let angle = std::f64::consts::PI * (f64::from(step) + 0.5) / f64::from(STEPS);
            let (place, width) = (0.5 - 0.5 * angle.cos(), angle.sin());
            let density = ((alpha - 1.0) * place.ln() + (beta - 1.0) * (-place).ln_1p()).exp() * width;
            without += density;
            with += density * (hits * (place / rate).ln() + misses * ((1.0 - place) / (1.0 - rate)).ln()).exp();
        }
        with / without
    };
    let weights = [1.0, 10.0, 100.0, 1e3, 1e4, 1e6];
    // The sharpest parts are narrower than the steps; about their centre the likelihood is 1 for counts as small as these.
    let parts = weights.map(|weight| if weight < 1e4 { part(weight) } else { 1.0 });
    (parts.iter().sum::<f64>() / 6.0).ln()
}

#[test]
fn evidence_is_the_mixture_of_likelihoods() {
    for (observed, rate) in [(count(3, 10), 0.5), (count(0, 12), 0.3), (count(9, 20), 0.4), (count(20, 20), 0.6)] {
        let (found, expected) = (observed.evidence_against(rate), evidence_by_integration(observed, rate));
        assert!((found - expected).abs() < 0.01, "{observed:?} against {rate}: {found}, not {expected}");
    }
    for (observed, rate) in [(count(0, 0), 0.3), (count(0, 5), 0.0), (count(5, 5), 1.0)] {
        assert!(observed.evidence_against(rate).abs() < 1e-9, "{observed:?}");
    }
    assert_eq!(count(1, 5).evidence_against(0.0), f64::INFINITY);
    assert_eq!(count(4, 5).evidence_against(1.0), f64::INFINITY);
}

/// The exact probability that a true rate is excluded at any of the first looks, one after each observation: all paths, by the
/// number of successes.
fn ever_excluded(rate: f64, level: Level, looks: u64) -> f64 {
    let (mut excluded, mut paths) = (0.0, vec![1.0]);
    for trials in 1..=looks {
        let mut next = vec![0.0; trials as usize + 1];
        for (successes, probability) in paths.iter().enumerate() {
            next[successes] += probability * (1.0 - rate);
            next[successes + 1] += probability * rate;
        }
        for (successes, probability) in next.iter_mut().enumerate() {
            // Paths that hardly ever happen need not be looked at: there are a few hundred of them at most.
            let is_excluded = || count(successes as u64, trials).evidence_against(rate) >= level.limit();
            if *probability > 1e-12 && is_excluded() {
                excluded += *probability;
                *probability = 0.0;
            }
        }
        paths = next;
    }
    excluded
}

#[test]
fn looking_after_every_observation_excludes_the_truth_no_more_often_than_stated() {
    for rate in [0.001, 0.02, 0.5, 0.99] {
        let excluded = ever_excluded(rate, Level::USUAL, 500);
        assert!(excluded > 1e-4 && excluded <= 0.05, "{rate}: {excluded}");
    }
}

#[test]
fn intervals_hold_what_was_observed_and_shrink() {
    for (successes, trials) in [(0, 10), (1, 10), (10, 10), (3, 1_000), (500_000, 1_000_000)] {
        let [lower, upper] = count(successes, trials).rates_within(Level::USUAL.limit());
        let rate = successes as f64 / trials as f64;
        assert!(lower <= rate && rate <= upper && lower >= 0.0 && upper <= 1.0, "{successes} of {trials}");
        let [low, high] = count(10 * successes, 10 * trials).rates_within(Level::USUAL.limit());
        assert!(high - low < upper - lower, "{successes} of {trials}");
    }
    assert_eq!(count(0, 0).rates_within(3.0), [0.0, 1.0]);
    // For comparison: the interval for one look only (Clopper and Pearson) is 0.0813 to 0.1203.
    let [lower, upper] = count(100, 1_000).rates_within(Level::USUAL.limit());
    assert!((0.06..0.0813).contains(&lower) && (0.1203..0.145).contains(&upper), "{lower} to {upper}");
}
