//! How much power a machine draws at a load, as a multiple of its CPUs' thermal design power (TDP).
//!
//! Published results of SPECpower_ssj2008 (609 servers) were fitted: in proportion to the load, TDP errs by 39 % on
//! average. A line from idle over half to full load, at .19, .56 and 1.05 of the TDP, errs by 18 % on machines since 2017
//! (90th percentile: 43 %). One machine in a data centre, a laptop, or a share of a server may be further off, hence the
//! wide [`Band`](crate::Band).

const IDLE: f64 = 0.19;
const HALF: f64 = 0.56;
const FULL: f64 = 1.05;

/// The power at a load (0: idle, 1: all CPUs busy), as a multiple of the TDP.
pub fn power(load: f64) -> f64 {
    let load = load.clamp(0.0, 1.0);
    if load < 0.5 { IDLE + (HALF - IDLE) * load / 0.5 } else { HALF + (FULL - HALF) * (load - 0.5) / 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_through_its_three_points_and_rises() {
        for (load, expected) in [(0.0, IDLE), (0.5, HALF), (1.0, FULL), (-1.0, IDLE), (7.0, FULL)] {
            assert!((power(load) - expected).abs() < 1e-12, "{load}");
        }
        // In between it is straight.
        for (load, expected) in
            [(0.25, (IDLE + HALF) / 2.0), (0.1, IDLE + (HALF - IDLE) / 5.0), (0.75, (HALF + FULL) / 2.0)]
        {
            assert!((power(load) - expected).abs() < 1e-12, "{load}");
        }
        let powers: Vec<_> = (0..=100).map(|i| power(f64::from(i) / 100.0)).collect();
        assert!(powers.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
