//! In which order versions take turns, round by round.
//!
//! Every second round is the one before it in reverse, so a steady drift cancels over two rounds. From one such pair of
//! rounds to the next the order is another row of a Williams square ("Experimental designs balanced for the estimation of
//! residual effects of treatments", 1949): each version runs as often at each place of a round, and as often directly after
//! each other version, so that what one of them leaves behind in caches and clocks meets all others alike. It takes n rounds
//! for an even number n of versions, twice as many for an odd one. Two versions run A B, B A, A B, ...

/// The order of the versions, by their places from 0, in this round, counted from 0.
pub fn order(versions: usize, round: usize) -> Vec<usize> {
    // The reverse of a row is a row itself if their number is even.
    let rows = if versions.is_multiple_of(2) { versions / 2 } else { versions };
    let row = round / 2 % rows.max(1);
    // 0, 1, n - 1, 2, n - 2, ...
    let zigzag =
        (0..versions).map(|at| if at % 2 == 1 { at / 2 + 1 } else { (versions - at / 2) % versions });
    let mut order: Vec<usize> = zigzag.map(|version| (version + row) % versions).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds it takes until all is balanced.
    fn cycle(versions: usize) -> usize {
        if versions.is_multiple_of(2) { versions } else { 2 * versions }
    }

    #[test]
    fn two_versions_run_in_abba_order_and_one_alone() {
        assert_eq!([0, 1, 2, 3].map(|round| order(2, round)), [[0, 1], [1, 0], [0, 1], [1, 0]]);
        assert_eq!(order(1, 5), [0]);
        assert!(order(0, 0).is_empty());
    }

    #[test]
    fn every_version_runs_once_a_round_and_every_other_round_is_the_reverse() {
        for versions in 1..=9 {
            for round in 0..4 * versions {
                let mut all = order(versions, round);
                let mirrored: Vec<_> = order(versions, round ^ 1).into_iter().rev().collect();
                assert_eq!(all, mirrored);
                all.sort_unstable();
                assert!(all.into_iter().eq(0..versions));
            }
        }
    }

    #[test]
    fn every_version_is_as_often_at_each_place_and_as_often_after_each_other() {
        for versions in 2..=9 {
            let mut at = vec![vec![0; versions]; versions];
            let mut after = vec![vec![0; versions]; versions];
            for round in 0..cycle(versions) {
                let order = order(versions, round);
                order.iter().enumerate().for_each(|(place, version)| at[*version][place] += 1);
                order.windows(2).for_each(|two| after[two[1]][two[0]] += 1);
            }
            let often = cycle(versions) / versions;
            assert!(at.iter().flatten().all(|n| *n == often), "{versions}: {at:?}");
            for (version, before) in after.iter().enumerate() {
                let others = before.iter().enumerate().filter(|(other, _)| *other != version);
                assert!(others.into_iter().all(|(_, n)| *n == often), "{versions}: {after:?}");
            }
        }
    }
}
