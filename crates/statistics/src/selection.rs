//! Finding a number by its rank among more numbers than can be kept, given a way to count those up to a limit.
//!
//! The floating-point numbers themselves are bisected, in the order in which their bits have them: after at most 64
//! counts a single one is left, and it is exact.

/// The smallest floating-point number in the range up to which there are at least `rank` numbers.
pub fn nth(rank: u64, range: (f64, f64), up_to: impl Fn(f64) -> u64) -> f64 {
    let (mut low, mut high) = (ordinal(range.0), ordinal(range.1));
    while low < high {
        let middle = low + (high - low) / 2;
        if up_to(from_ordinal(middle)) >= rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    // Of the two zeros only the positive one.
    from_ordinal(low) + 0.0
}

const SIGN: u64 = 1 << 63;

/// The position of a number among all floating-point numbers.
fn ordinal(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn from_ordinal(ordinal: u64) -> f64 {
    f64::from_bits(if ordinal & SIGN == 0 { !ordinal } else { ordinal & !SIGN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_numbers_is_that_of_their_positions() {
        let numbers =
            [-f64::MAX, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-320, 1.0, 1.0 + f64::EPSILON, f64::MAX];
        assert!(numbers.windows(2).all(|pair| ordinal(pair[0]) < ordinal(pair[1])));
        assert!(numbers.iter().all(|number| from_ordinal(ordinal(*number)).to_bits() == number.to_bits()));
    }

    #[test]
    fn each_number_is_found_by_its_rank() {
        let numbers = [-2.5, -1e-300, 0.0, 0.0, 0.1, 7e200];
        let up_to = |limit: f64| numbers.iter().filter(|number| **number <= limit).count() as u64;
        for (rank, number) in (1..).zip(numbers) {
            let found = nth(rank, (-2.5, 7e200), up_to);
            assert_eq!(found.to_bits(), number.to_bits(), "{rank}");
        }
    }
}
