//! Numbers as a person reads them: three digits and a unit of the right size.

/// Between a number and its unit: a space at which no line is broken. It is printed as a plain one.
pub const GLUE: char = '\u{a0}';

/// Three significant digits; whole numbers below 1000 as they are.
fn three_digits(value: f64) -> String {
    format!("{value:.0$}", decimals(value))
}

fn decimals(value: f64) -> usize {
    match value.abs() {
        v if v >= 99.95 || v == 0.0 || (v.fract() == 0.0 && v < 1000.0) => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    }
}

/// Divides by the largest step that leaves at least 1 (after rounding) and adds its name.
fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    let fits = |size: &f64| (value.abs() / size * 1000.0).round() >= 1000.0;
    let (size, name) = steps.iter().find(|(size, _)| fits(size)).unwrap_or(&steps[steps.len() - 1]);
    let text = three_digits(value / size);
    if name.is_empty() { text } else { format!("{text}{GLUE}{name}") }
}

/// A time, from nanoseconds to hours.
pub fn seconds(s: f64) -> String {
    if s == 0.0 {
        return format!("0{GLUE}s");
    }
    const STEPS: [(f64, &str); 6] =
        [(3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
    // Minutes only where seconds would need four digits.
    let steps = if s.abs() < 999.5 { &STEPS[2..] } else { &STEPS[..2] };
    scaled(s, steps)
}

/// An amount of memory or I/O, in decimal units.
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, &[(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")])
}

/// A number of things.
pub fn count(n: f64) -> String {
    scaled(n, &[(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// A frequency.
pub fn hertz(hz: f64) -> String {
    scaled(hz, &[(1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz")])
}

const JOULES: [(f64, &str); 5] = [(1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")];

/// An energy.
pub fn joules(j: f64) -> String {
    if j == 0.0 { format!("0{GLUE}J") } else { scaled(j, &JOULES) }
}

/// An energy that is only known to lie between two values: `40.3 … 170 J`.
pub fn joules_between(low: f64, high: f64) -> String {
    let (low, high) = (joules(low), joules(high));
    let unit = |text: &str| text.rsplit(GLUE).next().map(str::to_owned);
    let low = if unit(&low) == unit(&high) { low.split(GLUE).next().unwrap_or(&low) } else { &low };
    format!("{low}{GLUE}…{GLUE}{high}")
}

/// No total is told apart by more digits than these.
const MOST_DIGITS: i32 = 5;

/// An energy with its uncertainty in the same unit, that of the larger of the two. The uncertainty has one digit and is
/// rounded up; the energy is as precise as that: `520 J ± 3`, `12.40 J ± 0.02`.
pub fn uncertain(j: f64, uncertainty: f64) -> String {
    if uncertainty <= 0.0 {
        return joules(j);
    }
    let fits = |size: &f64| j.abs().max(uncertainty) / size >= 0.9995;
    let (size, unit) = JOULES.iter().find(|(size, _)| fits(size)).unwrap_or(&JOULES[JOULES.len() - 1]);
    let (value, uncertainty) = (j / size, uncertainty / size);
    let place = |of: f64| of.abs().log10().floor() as i32;
    let finest = place(value.abs().max(1.0)) + 1 - MOST_DIGITS;
    let last = place(uncertainty).max(finest);
    let power = 10f64.powi(last);
    // The quotient of two such numbers may be a little above a whole one.
    let rounded = (uncertainty / power - 1e-9).ceil() * power;
    let fraction = usize::try_from(-last).unwrap_or(0);
    // What is less than the last place is not nothing.
    let decimals = if value.abs() < power { decimals(value).max(fraction) } else { fraction };
    format!("{value:.decimals$}{GLUE}{unit}{GLUE}±{GLUE}{rounded:.fraction$}")
}

/// A power.
pub fn watts(w: f64) -> String {
    if w == 0.0 {
        return format!("0{GLUE}W");
    }
    scaled(w, &[(1e6, "MW"), (1e3, "kW"), (1.0, "W"), (1e-3, "mW"), (1e-6, "µW")])
}

/// A mass.
pub fn grams(g: f64) -> String {
    if g == 0.0 {
        return format!("0{GLUE}g");
    }
    scaled(g, &[(1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"), (1e-9, "ng")])
}

/// An amount of money.
pub fn money(amount: f64) -> String {
    match amount {
        a if a == 0.0 || a >= 0.995 => format!("{a:.2}"),
        a if a >= 0.000_995 => format!("{a:.5}"),
        a => format!("{a:.2e}"),
    }
}

/// An amount in a UCUM unit.
pub fn amount(value: f64, unit: &str) -> String {
    match unit {
        "s" => seconds(value),
        "J" => joules(value),
        "W" => watts(value),
        "By" => bytes(value),
        "1" => count(value),
        unit => format!("{}{GLUE}{unit}", count(value)),
    }
}

/// A share, in percent.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.01 => format!("less than 0.01{GLUE}%"),
        p if p < 1.0 => format!("{p:.2}{GLUE}%"),
        p if p < 10.0 => format!("{p:.1}{GLUE}%"),
        p => format!("{p:.0}{GLUE}%"),
    }
}

/// A whole number with thousands separated.
pub fn whole(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_suffice() {
        let plain = |text: String| text.replace(GLUE, " ");
        let texts = [0.0, 1.5e-9, 0.000_999_6, 0.0123, 0.9999, 2.034, 15.25, 184.4, 999.4, 1000.0, 9000.0];
        let expected = [
            "0 s", "1.50 ns", "1.00 ms", "12.3 ms", "1.00 s", "2.03 s", "15.2 s", "184 s", "999 s",
            "16.7 min", "2.50 h",
        ];
        assert_eq!(texts.map(seconds).map(plain), expected.map(String::from));
        assert_eq!(
            [0.0, 999.0, 1536.0, 1.84e9].map(bytes).map(plain),
            ["0 B", "999 B", "1.54 kB", "1.84 GB"]
        );
        assert_eq!([3.0, 412_345.0].map(count).map(plain), ["3", "412 k"]);
        assert_eq!(whole(1_234_567), "1,234,567");
    }

    #[test]
    fn an_uncertainty_has_one_digit_in_the_unit_of_its_value() {
        let cases = [
            (520.0, 2.1, "520 J ± 3"),
            (520.0, 2.0, "520 J ± 2"),
            (12.4, 0.013, "12.40 J ± 0.02"),
            (3000.08, 0.029, "3.0001 kJ ± 0.0001"),
            (50.0, 0.3, "50.0 J ± 0.3"),
            (0.16782, 0.3, "168 mJ ± 300"),
            (1520.0, 21.0, "1.52 kJ ± 0.03"),
            (0.5, 0.049, "500 mJ ± 50"),
            (0.0005, 0.01, "0.50 mJ ± 10"),
            (0.392, 10.0, "0.39 J ± 10"),
            (0.0, 1.5, "0 J ± 2"),
            (17.8, 0.0, "17.8 J"),
        ];
        for (j, uncertainty, expected) in cases {
            assert_eq!(uncertain(j, uncertainty).replace(GLUE, " "), expected);
        }
        assert_eq!(
            [0.0, 61.04, 0.0021].map(watts).map(|w| w.replace(GLUE, " ")),
            ["0 W", "61.0 W", "2.10 mW"]
        );
    }
}
