//! Amounts of cpu and memory as Kubernetes writes them.

/// In thousandths of the unit: `100m` is 100, `1Ki` is 1 024 000.
pub fn parse(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-' && c != '+')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let unit: i128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_i128.pow(2),
        "G" => 1000 * 1000_i128.pow(3),
        "T" => 1000 * 1000_i128.pow(4),
        "Ki" => 1000 * 1024,
        "Mi" => 1000 * 1024_i128.pow(2),
        "Gi" => 1000 * 1024_i128.pow(3),
        "Ti" => 1000 * 1024_i128.pow(4),
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits * unit / 10_i128.pow(u32::try_from(fraction.len()).ok()?))
}

/// As the API server prints an amount; `like` tells whether it counts in powers of two.
pub fn print(amount: i128, like: &str) -> String {
    if amount % 1000 != 0 {
        return format!("{amount}m");
    }
    let amount = amount / 1000;
    let steps: [(&str, i128); 4] = if like.ends_with('i') {
        [
            ("Ti", 1 << 40),
            ("Gi", 1 << 30),
            ("Mi", 1 << 20),
            ("Ki", 1 << 10),
        ]
    } else {
        [
            ("T", 1000_i128.pow(4)),
            ("G", 1000_i128.pow(3)),
            ("M", 1000_i128.pow(2)),
            ("k", 1000),
        ]
    };
    for (suffix, unit) in steps {
        if amount != 0 && amount % unit == 0 {
            return format!("{}{suffix}", amount / unit);
        }
    }
    amount.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_printed() {
        for text in ["100m", "1", "200Mi", "2Gi", "1500m", "3G"] {
            assert_eq!(print(parse(text).unwrap(), text), text);
        }
        assert_eq!(parse("1.5"), Some(1500));
        assert_eq!(parse("0.5Gi"), parse("512Mi"));
        assert_eq!(parse("200MB"), None);
        assert_eq!(parse("lots"), None);
    }
}
