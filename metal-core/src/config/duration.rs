//! Durations as Kubernetes writes them.

use alloc::string::String;
use core::time::Duration;

/// A text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write numbers with the units h, m, s or ms, such as 10m or 1h30m")]
pub struct DurationError {
    text: String,
}

/// Reads a duration in Go's notation, such as `10m`, `1h30m` or `1.5s`. Negative ones are refused, and what Go
/// itself could not hold (292 years).
///
/// # Errors
/// When it is none.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let nanos = if text == "0" { Some(0) } else { parts(text) };
    let nanos = nanos.filter(|nanos| i64::try_from(*nanos).is_ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| DurationError { text: text.into() })
}

/// The sum of all parts in nanoseconds; `None` when there are none.
fn parts(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        let (number, behind) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, behind) = split(behind, |c| !(c.is_ascii_digit() || c == '.'));
        sum = Some(sum.unwrap_or(0).checked_add(part(number, unit)?)?);
        rest = behind;
    }
    sum
}

fn part(number: &str, unit: &str) -> Option<u64> {
    let nanos: u64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut sum = whole.checked_mul(nanos)?;
    let mut unit = nanos;
    for digit in fraction.chars() {
        unit /= 10;
        sum = sum.checked_add(u64::from(digit.to_digit(10)?) * unit)?;
    }
    Some(sum)
}

/// The longest start of which every character is one of those.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_go_takes_is_taken() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("+2s", 2_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("300ms", 300),
            ("2000us", 2),
            ("1m1m", 120_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("3\u{b5}s"), Ok(Duration::from_micros(3)));
        assert_eq!(parse_duration("7ns"), Ok(Duration::from_nanos(7)));
        assert!(parse_duration("2562047h").is_ok(), "Go's longest");
    }

    #[test]
    fn what_go_refuses_is_refused_and_negative_ones_too() {
        for text in [
            "",
            "+",
            "10",
            "m",
            ".",
            ".s",
            "-1s",
            "1 h",
            "1d",
            "1h 30m",
            "1..5s",
            "h1",
            "2562048h",
            "99999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_duration("1 day").unwrap_err().to_string(),
            "\"1 day\" is not a duration: write numbers with the units h, m, s or ms, such as 10m or 1h30m"
        );
    }
}
