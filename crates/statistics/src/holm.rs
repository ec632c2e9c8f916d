//! Several p-values at once (Holm, "A simple sequentially rejective multiple test procedure", 1979).

/// The p-values, in their order, so enlarged that rejecting those up to α rejects any true hypothesis with a
/// probability of at most α, however they depend on each other: the k-th smallest of m becomes the largest of
/// `(m - j + 1) · p₍ⱼ₎` over all j ≤ k, at most 1.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (smaller, at) in order.into_iter().enumerate() {
        largest = largest.max((p_values.len() - smaller) as f64 * p_values[at]).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_counts_for_all_and_none_falls_below_a_smaller_one() {
        assert_eq!(adjusted(&[0.25, 0.0625, 0.125]), [0.25, 0.1875, 0.25]);
        assert_eq!(adjusted(&[0.03125, 0.03125]), [0.0625, 0.0625]);
        assert_eq!(adjusted(&[0.75, 0.875]), [1.0, 1.0]);
        assert_eq!(adjusted(&[0.25]), [0.25]);
        assert!(adjusted(&[]).is_empty());
    }
}
