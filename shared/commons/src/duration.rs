//! Durations as Go and kubectl write them: `90s`, `1h30m`, `8h`, and `2d` for days, which people type.

use std::time::Duration;

/// Reads a duration made of whole numbers and units: `s`, `m`, `h`, `d`, largest first or not, each at most once.
///
/// # Errors
/// A sentence for the user when the text is empty, has no unit, an unknown unit, or is too large for seconds in `u64`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let example = "write it like `8h`, `1h30m` or `2d`";
    if text.is_empty() {
        return Err(format!("a duration is missing: {example}"));
    }
    let mut seconds: u64 = 0;
    let mut rest = text;
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = rest[digits..].chars().next();
        let factor = match unit {
            _ if digits == 0 => return Err(format!("not a duration: {example}")),
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            None => return Err(format!("a unit is missing: {example}")),
            Some(_) => return Err(format!("unknown unit: {example}")),
        };
        if seen.contains(&factor) {
            return Err(format!("a unit is given twice: {example}"));
        }
        seen.push(factor);
        let part = rest[..digits]
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor));
        seconds = part
            .and_then(|part| seconds.checked_add(part))
            .ok_or("that is too long")?;
        rest = &rest[digits + 1..];
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a duration to be read back by [`parse`]: `8h`, `1h30m`, `2d`, `45s`.
pub fn exact(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (factor, unit) in [(86400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        if rest >= factor {
            parts.push(format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if parts.is_empty() {
        "0s".into()
    } else {
        parts.concat()
    }
}

/// Writes a duration for a person, as kubectl writes ages: its two largest units, `7h59m`, `3d4h`, `90s`.
pub fn rough(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..120 => format!("{s}s"),
        120..600 if !s.is_multiple_of(60) => format!("{}m{}s", s / 60, s % 60),
        120..10800 if s < 3600 || s.is_multiple_of(3600) => {
            if s < 3600 {
                format!("{}m", s / 60)
            } else {
                format!("{}h", s / 3600)
            }
        }
        120..86400 if s % 3600 / 60 != 0 => format!("{}h{}m", s / 3600, s % 3600 / 60),
        120..86400 => format!("{}h", s / 3600),
        _ if s % 86400 / 3600 != 0 => format!("{}d{}h", s / 86400, s % 86400 / 3600),
        _ => format!("{}d", s / 86400),
    }
}

/// A moment for a person, in the local time zone: `2026-11-21 18:04 CET`, with seconds for one less than ten minutes away.
pub fn moment(moment: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let zoned = moment.to_zoned(jiff::tz::TimeZone::system());
    let near = moment.duration_since(now).abs() < jiff::SignedDuration::from_mins(10);
    zoned
        .strftime(if near {
            "%Y-%m-%d %H:%M:%S %Z"
        } else {
            "%Y-%m-%d %H:%M %Z"
        })
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        for (text, seconds) in [
            ("10s", 10),
            ("8h", 28800),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1d1h1m1s", 90061),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "8",
            "h",
            "-8h",
            "8 h",
            "8hours",
            "1h1h",
            "8H",
            "99999999999999999999h",
            "18446744073709551615d",
            "1.5h",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for seconds in [
            0, 1, 59, 60, 61, 3600, 5400, 28800, 86399, 86400, 90061, 31_536_000,
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse(&exact(duration)), Ok(duration));
        }
    }

    #[test]
    fn writes_two_units_for_people() {
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (130, "2m10s"),
            (600, "10m"),
            (3599, "59m"),
            (3600, "1h"),
            (28799, "7h59m"),
            (28800, "8h"),
            (90000, "1d1h"),
            (172_800, "2d"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }
}
