//! Numbers as people read them.

use interp_finding::{Better, Measured, Number};

/// Between a number and its unit; it does not break a line.
const SPACE: char = '\u{a0}';

/// Between the digits' groups of three; narrow, and it does not break a line.
const GROUP: char = '\u{202f}';

/// Four significant digits without trailing zeros; whole numbers below 10^15 in full.
pub fn show(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "not a number".to_owned()
    } else if value.is_infinite() {
        minus(if value > 0.0 { "∞" } else { "-∞" })
    } else if value.fract() == 0.0 && size < 1e15 {
        fixed(value, 0)
    } else if (1e-3..1e6).contains(&size) {
        trim(&fixed(value, usize::try_from(3 - exponent(size)).unwrap_or(0)))
    } else {
        scientific(value, 3)
    }
}

/// The value with its unit; percent and points with two digits after the point.
pub fn value(number: &Number) -> String {
    with_unit(number.value, &number.unit)
}

/// The value expected where there is nothing to find, or nothing.
pub(crate) fn null(number: &Number) -> String {
    number.null.map_or_else(String::new, |null| with_unit(null, &number.unit))
}

/// The 95 % interval, or nothing.
pub fn interval(number: &Number) -> String {
    let text = |[low, high]: [f64; 2]| format!("{} to {}", in_unit(low, &number.unit), with_unit(high, &number.unit));
    number.interval.map_or_else(String::new, text)
}

/// Which direction is the good one, in words.
pub(crate) fn direction(number: &Number) -> &'static str {
    match number.better {
        Better::Higher => "↑ higher is better",
        Better::Lower => "↓ lower is better",
        Better::Neither => "describes only",
    }
}

/// The bound of a claim, in percent where its value is shown in percent.
pub(crate) fn bound(claim: &Measured) -> String {
    if claim.shown.ends_with('%') { format!("{}{SPACE}%", show(claim.bound * 100.0)) } else { show(claim.bound) }
}

fn with_unit(value: f64, unit: &str) -> String {
    let text = in_unit(value, unit);
    if unit.is_empty() { text } else { format!("{text}{SPACE}{unit}") }
}

/// The value as it is shown before its unit: numbers that are compared have their points below each other.
fn in_unit(value: f64, unit: &str) -> String {
    let plain = value == 0.0 || (0.01..1e6).contains(&value.abs());
    if plain && matches!(unit, "%" | "points") { fixed(value, 2) } else { show(value) }
}

/// The power of ten of the first digit of `size` > 0.
pub(crate) fn exponent(size: f64) -> i32 {
    size.log10().floor() as i32
}

/// `value` with `decimals` digits after the point, grouped in threes from 10000 on.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    minus(&(group(whole) + &rest))
}

/// `1.234 × 10⁻⁵`, with at most `decimals` digits after the point.
pub(crate) fn scientific(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    minus(&format!("{}{SPACE}×{SPACE}10{}", trim(mantissa), power.chars().map(superscript).collect::<String>()))
}

/// The digits of a whole number, which may have a minus sign, in groups of three from 10000 on.
pub(crate) fn group(whole: &str) -> String {
    let digits = whole.trim_start_matches('-').len();
    if digits < 5 {
        return whole.to_owned();
    }
    let start = whole.len() - digits;
    let mut text = String::new();
    for (place, digit) in whole.char_indices() {
        if place > start && (whole.len() - place).is_multiple_of(3) {
            text.push(GROUP);
        }
        text.push(digit);
    }
    text
}

fn trim(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// A true minus sign, as wide as a plus, and none before a zero.
fn minus(text: &str) -> String {
    let is_zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    text.replace('-', if is_zero { "" } else { "−" })
}

fn superscript(digit: char) -> char {
    match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        _ => digit.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_significant_digits_and_whole_numbers_in_full() {
        let expected = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.9, "0.9"),
            (91.637, "91.64"),
            (-0.012_345, "−0.01235"),
            (999.96, "1000"),
            (1234.5, "1234"),
            (9999.0, "9999"),
            (270_896.0, "270\u{202f}896"),
            (-12_345_678.0, "−12\u{202f}345\u{202f}678"),
            (0.000_123_456, "1.235\u{a0}×\u{a0}10⁻⁴"),
            (6.022_14e23, "6.022\u{a0}×\u{a0}10²³"),
            (f64::MIN_POSITIVE, "2.225\u{a0}×\u{a0}10⁻³⁰⁸"),
        ];
        for (value, text) in expected {
            assert_eq!(show(value), text, "{value:e}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_said_in_words_or_symbols() {
        assert_eq!([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(show), ["not a number", "∞", "−∞"]);
    }

    #[test]
    fn units_intervals_and_bounds() {
        let number = Number::new(91.6, "%", Better::Higher).with_interval(-1.0, 92.25);
        assert_eq!(value(&number), "91.60\u{a0}%");
        assert_eq!(interval(&number), "−1.00 to 92.25\u{a0}%");
        let small = Number::new(0.001_5, "%", Better::Lower).with_interval(0.0, 2e-4);
        assert_eq!(
            (value(&small), interval(&small)),
            ("0.0015\u{a0}%".into(), "0.00 to 2\u{a0}×\u{a0}10⁻⁴\u{a0}%".into())
        );
        assert_eq!(null(&number), "");
        let claim = |bound, shown: &str| Measured {
            statement: String::new(),
            value: 0.0,
            bound,
            holds: true,
            shown: shown.into(),
        };
        assert_eq!(bound(&claim(0.9, "90.4 %")), "90\u{a0}%");
        assert_eq!(bound(&claim(0.0, "3")), "0");
    }
}
