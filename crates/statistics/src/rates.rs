//! The error rates to which the gate is held, on simulated sessions; each with a control, a broken rule or a harder
//! session that misses them. `benches/gate.rs` prints more of them, with more repetitions.
//!
//! Most rates are at least three standard errors away from what is demanded. Nearest are the false alarms with
//! outliers: 1.7 %, known to .3 %.

use super::decision::{Decision, Finding, Verdict};
use super::gate::Rule;
use super::sequential::Plan;
use super::simulation::{Session, Two, adaptive, gate, rate, stored, versions};
use super::{drift, hodges_lehmann, signed_rank};

const SESSIONS: u32 = 2500;
const USUAL: Session = Session::USUAL;
const CORRELATED: Session = Session { rho: 0.3, ..USUAL };
/// An outlier in 5 % of the pairs.
const WILD: Session = Session { outliers: 0.025, ..USUAL };
/// Every twentieth run an outlier, hence one in nearly 10 % of the pairs.
const WILDER: Session = Session { outliers: 0.05, ..USUAL };
const NOISY: Session = Session { cv: 0.05, ..USUAL };

fn share(session: Session, effect: f64, verdict: Verdict) -> f64 {
    rate(SESSIONS, 1, |noise| gate(session, effect, noise).unwrap().verdict == verdict)
}

#[track_caller]
fn at_most(limit: f64, rate: f64) {
    assert!(rate <= limit, "{rate} is more than {limit}");
}

#[track_caller]
fn at_least(limit: f64, rate: f64) {
    assert!(rate >= limit, "{rate} is less than {limit}");
}

#[test]
fn false_alarms_are_at_most_2_percent() {
    for session in [USUAL, CORRELATED, WILD, Session { rho: 0.3, ..WILD }] {
        at_most(0.02, share(session, 0.0, Verdict::Regression));
    }
}

#[test]
fn control_without_the_estimate_or_without_the_test_or_without_pairs_false_alarms_are_more() {
    let significant = |decision: Decision| decision.p_worse <= 0.05;
    at_least(0.03, rate(SESSIONS, 1, |noise| significant(gate(USUAL, 0.0, noise).unwrap())));
    let above = |decision: Decision| decision.change > 0.02;
    at_least(0.10, rate(SESSIONS, 1, |noise| above(gate(NOISY, 0.0, noise).unwrap())));
    let apart = |decision: Decision| decision.verdict == Verdict::Regression;
    let one_after_the_other = rate(SESSIONS, 1, |noise| {
        let (a, b) = USUAL.one_after_the_other(0.0, noise);
        apart(Rule::default().paired(&a, &b).unwrap())
    });
    at_least(0.30, one_after_the_other);
}

#[test]
fn a_regression_of_5_percent_is_found_in_99_percent_and_with_outliers_in_90_percent() {
    at_least(0.99, share(USUAL, 0.05, Verdict::Regression));
    at_least(0.99, share(CORRELATED, 0.05, Verdict::Regression));
    at_least(0.90, share(WILD, 0.05, Verdict::Regression));
}

#[test]
fn a_regression_of_3_percent_is_found_in_80_percent() {
    at_least(0.80, share(USUAL, 0.03, Verdict::Regression));
    at_least(0.80, share(CORRELATED, 0.03, Verdict::Regression));
}

#[test]
fn control_five_pairs_find_too_little() {
    let few = |session| Session { pairs: 5, ..session };
    at_most(0.90, share(few(USUAL), 0.05, Verdict::Regression));
    at_most(0.60, share(few(USUAL), 0.03, Verdict::Regression));
    at_most(0.80, share(few(WILD), 0.05, Verdict::Regression));
}

/// With an outlier in every twentieth run, ten pairs raise 2.2 % false alarms and find 87 % of the regressions of 5
/// %; it takes fourteen to keep what is demanded.
#[test]
fn twice_as_many_outliers_take_fourteen_pairs() {
    at_most(0.026, share(WILDER, 0.0, Verdict::Regression));
    let found = share(WILDER, 0.05, Verdict::Regression);
    assert!((0.85..0.90).contains(&found), "{found}");
    let fourteen = Session { pairs: 14, ..WILDER };
    at_most(0.02, share(fourteen, 0.0, Verdict::Regression));
    at_least(0.90, share(fourteen, 0.05, Verdict::Regression));
}

#[test]
fn a_regression_of_just_the_threshold_passes_in_at_most_7_percent() {
    for session in [USUAL, CORRELATED, WILD, WILDER, NOISY] {
        at_most(0.07, share(session, 0.02, Verdict::Pass));
    }
}

#[test]
fn identical_versions_are_inconclusive_where_the_noise_hides_the_threshold() {
    let inconclusive = share(NOISY, 0.0, Verdict::Inconclusive);
    // 4 % are false alarms, hardly more than one in five passes.
    assert!((0.70..0.90).contains(&inconclusive), "{inconclusive}");
    at_least(0.50, share(USUAL, 0.0, Verdict::Pass));
}

/// "Not significant, so nothing changed" is what many gates do.
#[test]
fn control_a_gate_that_passes_what_it_cannot_see_passes_nearly_everything() {
    let unseen = |decision: Decision| decision.p_worse > 0.05;
    at_least(0.90, rate(SESSIONS, 1, |noise| unseen(gate(NOISY, 0.0, noise).unwrap())));
    at_least(0.70, rate(SESSIONS, 1, |noise| unseen(gate(NOISY, 0.02, noise).unwrap())));
}

#[test]
fn an_improvement_is_found_as_often_as_a_regression_and_none_is_seldom_seen() {
    let found = |effect: f64, finding| {
        rate(SESSIONS, 1, |noise| gate(USUAL, effect, noise).unwrap().finding == finding)
    };
    at_least(0.99, found(1.0 / 1.05 - 1.0, Finding::Better));
    at_most(0.02, found(0.0, Finding::Better));
    at_most(0.07, found(1.0 / 1.02 - 1.0, Finding::Same));
    at_most(0.07, found(0.02, Finding::Same));
}

#[test]
fn intervals_hold_the_true_change_as_often_as_they_say() {
    let holds = rate(SESSIONS, 1, |noise| gate(USUAL, 0.05, noise).unwrap().interval.contains(0.05));
    assert!((0.90..0.93).contains(&holds), "{holds}");
}

#[test]
fn several_metrics_together_raise_no_more_false_alarms_than_one() {
    // Without a threshold, the test alone keeps false alarms away.
    let rule = Rule::new(0.0, 0.05).unwrap();
    let mut each = 0.0;
    let together = rate(1000, 1, |noise| {
        let mut metrics: Vec<Decision> = (0..5)
            .map(|_| {
                let (a, b) = USUAL.interleaved(0.0, noise);
                rule.paired(&a, &b).unwrap()
            })
            .collect();
        each += f64::from(metrics.iter().any(|metric| metric.verdict == Verdict::Regression)) / 1000.0;
        rule.together(&mut metrics, &mut []) == Verdict::Regression
    });
    at_most(0.05, together);
    // The control: without Holm's adjustment.
    at_least(0.15, each);
}

#[test]
fn a_stored_baseline_raises_false_alarms_in_about_0_8_percent_though_sessions_differ_by_2_percent() {
    let quiet = Session { cv: 0.01, ..USUAL };
    let alarms = |session| {
        rate(SESSIONS, 1, |noise| stored(session, 0.0, 0.02, noise).unwrap().verdict == Verdict::Regression)
    };
    at_most(0.012, alarms(quiet));
    at_most(0.02, alarms(USUAL));
    at_least(
        0.97,
        rate(1000, 1, |noise| stored(USUAL, 0.10, 0.02, noise).unwrap().verdict == Verdict::Regression),
    );
    // The controls: the threshold of paired runs, and the test alone.
    let mut significant = 0;
    let above_2_percent = rate(1000, 1, |noise| {
        let decision = stored(quiet, 0.0, 0.02, noise).unwrap();
        significant += usize::from(decision.p_worse <= 0.05);
        decision.p_worse <= 0.05 && decision.change > 0.02
    });
    at_least(0.10, above_2_percent);
    assert!(significant >= 200, "{significant}");
}

fn adaptive_share(sessions: u32, session: Session, effect: f64, verdict: Verdict) -> f64 {
    rate(sessions, 1, |noise| adaptive(session, effect, noise).unwrap().verdict == verdict)
}

const DEFAULT: Session = Session { pairs: Plan::CAP, ..USUAL };

fn up_to(pairs: usize, session: Session) -> Session {
    Session { pairs, ..session }
}

#[test]
fn looking_early_keeps_false_alarms_at_2_percent() {
    for session in [USUAL, CORRELATED, WILD] {
        at_most(0.02, adaptive_share(SESSIONS, up_to(26, session), 0.0, Verdict::Regression));
    }
    at_most(0.02, adaptive_share(1000, DEFAULT, 0.0, Verdict::Regression));
}

#[test]
fn looking_early_finds_what_must_be_found() {
    at_least(0.99, adaptive_share(1000, up_to(20, USUAL), 0.05, Verdict::Regression));
    at_least(0.90, adaptive_share(1000, up_to(20, WILDER), 0.05, Verdict::Regression));
    at_least(0.80, adaptive_share(1000, up_to(20, USUAL), 0.03, Verdict::Regression));
    at_least(0.50, adaptive_share(1000, up_to(20, NOISY), 0.0, Verdict::Inconclusive));
    at_least(0.99, adaptive_share(1000, DEFAULT, 0.05, Verdict::Regression));
    at_least(0.97, adaptive_share(1000, DEFAULT, 0.03, Verdict::Regression));
}

#[test]
fn looking_early_passes_a_regression_of_just_the_threshold_in_at_most_7_percent() {
    for session in [USUAL, CORRELATED] {
        at_most(0.07, adaptive_share(1000, up_to(26, session), 0.02, Verdict::Pass));
    }
    at_most(0.07, adaptive_share(1000, DEFAULT, 0.02, Verdict::Pass));
    // The control: every look believed at 5 %.
    let peeking = rate(1000, 1, |noise| {
        let (a, b) = up_to(26, USUAL).interleaved(0.02, noise);
        let passes = |pairs: &usize| {
            Rule::default().paired(&a[..*pairs], &b[..*pairs]).unwrap().verdict == Verdict::Pass
        };
        [8, 12, 18, 26].iter().any(passes)
    });
    at_least(0.09, peeking);
}

#[test]
fn the_interval_at_the_look_that_ended_holds_the_true_change_as_often_as_it_says() {
    for effect in [0.0, 0.03] {
        let holds = rate(1000, 1, |noise| {
            adaptive(up_to(26, USUAL), effect, noise).unwrap().interval.contains(effect)
        });
        at_least(0.95, holds);
    }
}

#[test]
fn a_drift_is_noticed_and_none_in_at_most_1_percent() {
    let noticed = |session: Session| {
        rate(SESSIONS, 1, |noise| {
            let (runs, _) = Session { pairs: 20, ..session }.apart(0.0, 0.0, noise);
            drift::notice(&runs).unwrap().is_some()
        })
    };
    at_most(0.015, noticed(Session { drift: 0.0, ..USUAL }));
    at_least(0.80, noticed(Session { cv: 0.01, ..USUAL }));
}

/// The exact test at 10 pairs has the size 43 / 1024, the largest below 5 %.
#[test]
fn the_test_errs_as_often_as_its_distribution_says() {
    let still = Session { drift: 0.0, ..USUAL };
    let rejected = rate(10_000, 3, |noise| {
        let (a, b) = still.interleaved(0.0, noise);
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (b / a).ln()).collect();
        signed_rank::test(&differences, 0.0).unwrap().greater <= 0.05
    });
    assert!((rejected - 43.0 / 1024.0).abs() < 0.006, "{rejected}");
    let estimates = rate(1000, 3, |noise| {
        let (a, _) = still.interleaved(0.0, noise);
        hodges_lehmann::one_sample(&a, 0.95).unwrap().interval.contains(100.0)
    });
    at_least(0.935, estimates);
}

/// How the noise of what decides and that of time may hang together.
const CORRELATIONS: [f64; 3] = [0.0, 0.5, 0.9];

fn two(session: Session, correlation: f64, effects: [f64; 2]) -> Two {
    Two { session, correlation, effects }
}

fn share_of_two(sessions: u32, two: Two, verdict: Verdict) -> f64 {
    rate(sessions, 1, |noise| two.gate(noise).unwrap() == verdict)
}

#[test]
fn with_time_on_guard_false_alarms_are_still_at_most_2_percent() {
    for correlation in CORRELATIONS {
        for session in [USUAL, CORRELATED] {
            at_most(0.02, share_of_two(SESSIONS, two(session, correlation, [0.0, 0.0]), Verdict::Regression));
        }
    }
    // Of the same sessions the guard alarms in one of a thousand more, if in any: those with outliers are near to 2 %.
    for session in [WILD, NOISY] {
        let equal = two(session, 0.5, [0.0, 0.0]);
        let unguarded = rate(SESSIONS, 1, |noise| equal.unguarded(noise).unwrap() == Verdict::Regression);
        at_most(unguarded + 0.001, share_of_two(SESSIONS, equal, Verdict::Regression));
    }
}

#[test]
fn with_time_on_guard_what_decides_is_found_as_often_and_passes_as_often() {
    for correlation in CORRELATIONS {
        let share = |effect, verdict| share_of_two(1500, two(USUAL, correlation, [effect, 0.0]), verdict);
        at_least(0.99, share(0.05, Verdict::Regression));
        at_least(0.80, share(0.03, Verdict::Regression));
        at_most(0.07, share(0.02, Verdict::Pass));
        at_least(0.50, share(0.0, Verdict::Pass));
    }
    at_least(0.90, share_of_two(1500, two(WILD, 0.5, [0.05, 0.0]), Verdict::Regression));
}

#[test]
fn a_time_that_is_10_percent_worse_fails_and_one_that_is_5_percent_worse_does_not_pass() {
    for correlation in CORRELATIONS {
        at_least(0.99, share_of_two(1500, two(USUAL, correlation, [0.0, 0.10]), Verdict::Regression));
        at_most(0.01, share_of_two(1500, two(USUAL, correlation, [0.0, 0.05]), Verdict::Pass));
        // At the threshold it is no regression, whatever decides.
        at_most(0.03, share_of_two(1500, two(USUAL, correlation, [0.0, 0.02]), Verdict::Regression));
    }
    // The control: without the guard both pass, as what decides has not changed.
    let slower = two(USUAL, 0.5, [0.0, 0.10]);
    at_least(0.50, rate(1500, 1, |noise| slower.unguarded(noise).unwrap() == Verdict::Pass));
}

#[test]
fn with_time_on_guard_a_stored_baseline_and_early_looks_err_no_more_often() {
    for correlation in CORRELATIONS {
        let equal = two(USUAL, correlation, [0.0, 0.0]);
        let alarms = rate(1500, 1, |noise| equal.stored(0.02, noise).unwrap() == Verdict::Regression);
        at_most(0.02, alarms);
        let slower = two(USUAL, correlation, [0.0, 0.20]);
        at_least(0.97, rate(500, 1, |noise| slower.stored(0.02, noise).unwrap() == Verdict::Regression));

        let adaptive = |effects| {
            let two = two(up_to(26, USUAL), correlation, effects);
            rate(800, 1, |noise| two.adaptive(noise).unwrap() == Verdict::Regression)
        };
        at_most(0.02, adaptive([0.0, 0.0]));
        at_least(0.99, adaptive([0.0, 0.10]));
        at_least(0.99, adaptive([0.05, 0.0]));
    }
}

/// Of so many versions that cost the same, the share of sessions in which any differs by this word.
fn any_of_equal(rule: Rule, session: Session, others: usize, is_family: bool, words: &[Finding]) -> f64 {
    let equal = vec![0.0; others];
    rate(2000, 1, |noise| {
        let decisions = versions(rule, session, &equal, is_family, noise).unwrap();
        decisions.iter().any(|decision| words.contains(&decision.finding))
    })
}

const EITHER: [Finding; 2] = [Finding::Worse, Finding::Better];

#[test]
fn of_equal_versions_any_is_called_different_in_at_most_5_percent_however_many_there_are() {
    for others in [1, 3, 9] {
        at_most(0.05, any_of_equal(Rule::default(), USUAL, others, true, &EITHER));
        at_most(0.055, any_of_equal(Rule::default(), WILD, others, true, &EITHER));
    }
    at_most(0.05, any_of_equal(Rule::default(), CORRELATED, 3, true, &EITHER));
    // The control: each of nine for itself.
    at_least(0.06, any_of_equal(Rule::default(), USUAL, 9, false, &EITHER));
}

/// Without a threshold nothing but the tests keeps false claims away.
#[test]
fn without_a_threshold_any_of_equal_versions_is_called_worse_in_at_most_5_percent_and_so_is_better() {
    let rule = Rule::new(0.0, 0.05).unwrap();
    for others in [3, 9] {
        for session in [USUAL, WILD] {
            at_most(0.06, any_of_equal(rule, session, others, true, &[Finding::Worse]));
            at_most(0.06, any_of_equal(rule, session, others, true, &[Finding::Better]));
        }
    }
    at_least(0.15, any_of_equal(rule, USUAL, 9, false, &[Finding::Worse]));
}

#[test]
fn a_version_among_many_that_costs_5_percent_more_is_found_and_equal_ones_beside_it_are_not_blamed() {
    for others in [1, 3, 7] {
        let mut effects = vec![0.0; others];
        effects[others / 2] = 0.05;
        let mut blamed = 0;
        let found = rate(1000, 1, |noise| {
            let decisions = versions(Rule::default(), USUAL, &effects, true, noise).unwrap();
            let is_worse = |at: usize| decisions[at].finding == Finding::Worse;
            blamed += usize::from((0..others).any(|at| at != others / 2 && is_worse(at)));
            is_worse(others / 2)
        });
        at_least(0.95, found);
        assert!(blamed <= 30, "{blamed} of 1000");
    }
}

#[test]
fn of_many_versions_one_that_is_at_the_threshold_passes_no_more_often_than_alone() {
    for others in [1, 3, 7] {
        let effects = vec![0.02; others];
        let passes = rate(1000, 1, |noise| {
            versions(Rule::default(), USUAL, &effects, true, noise).unwrap()[others - 1].verdict
                == Verdict::Pass
        });
        at_most(0.07, passes);
    }
}
