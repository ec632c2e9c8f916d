//! The texts in the files, apart from reading them.

use std::str::FromStr;

/// The number in a file that has one value, or, as Cray's, the value, its unit and a time stamp
/// (`8230 J 1588263412000000 us`). `None` if it is anything else.
pub fn number<T: FromStr>(text: &[u8], unit: &str) -> Option<T> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    words.next().is_none_or(|word| word == unit).then_some(number)
}

/// A name that a driver, a board or a firmware gives, fit to be printed; `None` if there is nothing in it.
pub fn name(text: &[u8]) -> Option<String> {
    let name = alumet::text::name(text.trim_ascii());
    (!name.is_empty()).then_some(name)
}

/// The parts of the name of a sensor's file: `power1_average` is `("power", 1, "average")`.
pub fn channel(file: &str) -> Option<(&str, u32, &str)> {
    let (channel, item) = file.split_once('_')?;
    let digits = channel.find(|c: char| c.is_ascii_digit())?;
    let (kind, number) = channel.split_at(digits);
    Some((kind, number.parse().ok()?, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_alone_or_has_its_unit_and_more() {
        assert_eq!(number(b"12500000\n", ""), Some(12_500_000_u64));
        assert_eq!(number(b"-386000\n", ""), Some(-386_000_i64));
        assert_eq!(number(b"18446744073709551615", ""), Some(u64::MAX));
        assert_eq!(number(b"8230 J 1588263412000000 us\n", "J"), Some(8230_u64));
        assert_eq!(number(b"8230\n", "J"), Some(8230_u64));
    }

    #[test]
    fn what_is_no_number_is_not_read_as_one() {
        for text in ["", "\n", "unknown", "12 34", "1.5", "nan", "inf", "0x10", "-1", "18446744073709551616"]
        {
            assert_eq!(number::<u64>(text.as_bytes(), ""), None, "{text}");
        }
        assert_eq!(number::<u64>(b"8230 W 1588263412000000 us", "J"), None);
        assert_eq!(number::<u64>(b"\xff\xfe12", ""), None);
    }

    #[test]
    fn a_name_is_whatever_can_be_printed() {
        assert_eq!(name(b"VDD_GPU_SOC\n").unwrap(), "VDD_GPU_SOC");
        assert_eq!(name(b" =1+2;\"x\", y\xc2\xb5 \n").unwrap(), "=1+2;\"x\", yµ");
        assert_eq!(name(b"a\x1b[31m\nb\xff").unwrap(), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
        assert_eq!([name(b""), name(b" \n")], [None, None]);
    }

    #[test]
    fn the_name_of_a_file_says_which_sensor_it_is_of() {
        assert_eq!(channel("power1_average"), Some(("power", 1, "average")));
        assert_eq!(channel("power12_average_interval"), Some(("power", 12, "average_interval")));
        for file in ["power_input", "name", "power1", "power1x_input", "power99999999999_input", "_"] {
            assert_eq!(channel(file), None, "{file}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (number::<u64>(&text, ""), number::<i64>(&text, "J"), name(&text));
            let _ = channel(&String::from_utf8_lossy(&text));
        }

        #[test]
        fn no_name_makes_a_parser_panic(file in "[a-zé]{0,3}[0-9]{0,12}[a-zé_]{0,6}") {
            let _ = channel(&file);
        }
    }
}
