//! Amounts of CPU and memory as Kubernetes writes them: `100m`, `0.5`, `256Mi`, `1e3`.

use std::str::FromStr;

/// An amount, in thousandths of its unit (a core, a byte).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub i128);

const MEBI: i128 = 1024 * 1024 * 1000;

impl FromStr for Quantity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let factor: i128 = match suffix {
            "m" => 1,
            "" => 1000,
            "k" => 1_000_000,
            "M" => 1_000_000_000,
            "G" => 1_000_000_000_000,
            "T" => 1_000_000_000_000_000,
            "P" => 1_000_000_000_000_000_000,
            "Ki" => 1024 * 1000,
            "Mi" => MEBI,
            "Gi" => 1024 * MEBI,
            "Ti" => 1024 * 1024 * MEBI,
            "Pi" => 1024 * 1024 * 1024 * MEBI,
            "u" | "n" => return decimal(number, 1).map(|_| Self(1)),
            _ => {
                let exponent = suffix.strip_prefix(['e', 'E']).ok_or(())?;
                let exponent: u32 = exponent.parse().map_err(|_| ())?;
                10_i128
                    .checked_pow(exponent.min(30))
                    .and_then(|power| power.checked_mul(1000))
                    .ok_or(())?
            }
        };
        decimal(number, factor).map(Self)
    }
}

/// A decimal number times a factor, rounded up as the API server does.
fn decimal(text: &str, factor: i128) -> Result<i128, ()> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 12 || whole.len() > 15 {
        return Err(());
    }
    let number = |text: &str| {
        if text.is_empty() {
            Ok(0)
        } else if text.chars().all(|c| c.is_ascii_digit()) {
            text.parse::<i128>().map_err(|_| ())
        } else {
            Err(())
        }
    };
    let (whole, parts) = (number(whole)?, number(fraction)?);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| ())?);
    let product = whole
        .checked_mul(scale)
        .and_then(|n| n.checked_add(parts))
        .and_then(|n| n.checked_mul(factor))
        .ok_or(())?;
    Ok((product + scale - 1).div_euclid(scale))
}

impl Quantity {
    /// From thousandths of a core.
    pub const fn millicores(cores: i128) -> Self {
        Self(cores)
    }

    /// From mebibytes.
    pub const fn mebibytes(bytes: i128) -> Self {
        Self(bytes * MEBI)
    }

    pub fn times(self, count: i32) -> Self {
        Self(self.0.saturating_mul(count.into()))
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub fn minus(self, other: Self) -> Self {
        Self((self.0.saturating_sub(other.0)).max(0))
    }

    /// A round amount that is not more than this: whole tens of millicores.
    pub fn cpu_below(self) -> Self {
        Self(if self.0 >= 10 {
            self.0 / 10 * 10
        } else {
            self.0
        })
    }

    /// A round amount that is not more than this: whole mebibytes, sixteen at a time.
    pub fn memory_below(self) -> Self {
        let step = 16 * MEBI;
        Self(self.0 / step * step)
    }

    /// As CPU is written: `100m`, `2`.
    pub fn cpu(self) -> String {
        if self.0 % 1000 == 0 {
            (self.0 / 1000).to_string()
        } else {
            format!("{}m", self.0)
        }
    }

    /// As memory is written: `256Mi`, `1Gi`.
    pub fn memory(self) -> String {
        if self.0 % (1024 * MEBI) == 0 && self.0 > 0 {
            format!("{}Gi", self.0 / (1024 * MEBI))
        } else if self.0 % MEBI == 0 {
            format!("{}Mi", self.0 / MEBI)
        } else {
            // Whatever the quota was written in: a figure to read.
            format!("{}Mi", self.0 / MEBI)
        }
    }
}

/// The amount that somebody meant who wrote `128MB`, `128Mo` or `2 GiB`.
pub fn meant(text: &str) -> Option<String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "ko" | "kib" | "ki" => "Ki",
        "mb" | "mo" | "mio" | "mib" | "mi" => "Mi",
        "g" | "gb" | "go" | "gio" | "gib" | "gi" => "Gi",
        "t" | "tb" | "to" | "tib" | "ti" => "Ti",
        _ => return None,
    };
    let meant = format!("{number}{unit}");
    (meant != text && meant.parse::<Quantity>().is_ok()).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_writes() {
        for (text, amount) in [
            ("100m", 100),
            ("1", 1000),
            ("0.5", 500),
            (".5", 500),
            ("1.5", 1500),
            ("0.0001", 1),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("256Mi", 256 * MEBI),
            ("1Gi", 1024 * MEBI),
            ("1e3", 1_000_000),
            ("100n", 1),
        ] {
            assert_eq!(text.parse(), Ok(Quantity(amount)), "{text}");
        }
        for text in [
            "",
            "Mi",
            "1x",
            "-1",
            "1.2.3",
            "1e",
            "1 Gi",
            "é",
            "9".repeat(40).as_str(),
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn writes_round_amounts() {
        assert_eq!(Quantity(1234).cpu_below().cpu(), "1230m");
        assert_eq!(Quantity(2000).cpu(), "2");
        assert_eq!(Quantity::mebibytes(1000).memory_below().memory(), "992Mi");
        assert_eq!(Quantity::mebibytes(2048).memory(), "2Gi");
    }
}
