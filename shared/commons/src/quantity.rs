//! Amounts as Kubernetes writes them: `100m`, `0.5`, `256Mi`, `1e3` (`apimachinery/pkg/api/resource/quantity.go`).
//!
//! Not by the crate `kube_quantity`: it reads through a floating-point number, so that `inf` and `Mi` are amounts, knows no
//! `1e3`, and panics where a comparison overflows.

use std::str::FromStr;

/// An amount, in billionths of its unit (a core, a byte, a pod).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const UNIT: i128 = 1_000_000_000;
const MILLI: i128 = UNIT / 1000;
const MEBI: i128 = UNIT << 20;

/// An amount that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a quantity")]
pub struct NotAQuantity;

impl FromStr for Quantity {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let factor = factor(suffix).ok_or(NotAQuantity)?;
        decimal(number, factor).map(Self).ok_or(NotAQuantity)
    }
}

/// What a suffix stands for, in billionths.
fn factor(suffix: &str) -> Option<i128> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(power) = binary.iter().position(|known| *known == suffix) {
        return Some(UNIT << (10 * (power + 1)));
    }
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(power) = decimal.iter().position(|known| *known == suffix) {
        return 1000_i128.checked_pow(u32::try_from(power).ok()?);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    10_i128.checked_pow(u32::try_from(exponent.checked_add(9)?).ok()?)
}

/// A decimal number times a factor, rounded up as the API server does.
fn decimal(text: &str, factor: i128) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.parse::<i128>().ok()?.checked_mul(factor)?;
    Some(product.checked_add(scale - 1)? / scale)
}

impl Quantity {
    /// Whole units: cores, bytes, pods.
    pub const fn units(count: i128) -> Self {
        Self(count * UNIT)
    }

    /// Thousandths of a core.
    pub const fn millicores(count: i128) -> Self {
        Self(count * MILLI)
    }

    /// Mebibytes.
    pub const fn mebibytes(count: i128) -> Self {
        Self(count * MEBI)
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: i32) -> Self {
        Self(self.0.saturating_mul(count.into()))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, not less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self((self.0.saturating_sub(other.0)).max(0))
    }

    /// As CPU is written, rounded up to whole millicores: `100m`, `2`.
    pub fn cpu(self) -> String {
        let millicores = (self.0 + MILLI - 1) / MILLI;
        if millicores % 1000 == 0 {
            (millicores / 1000).to_string()
        } else {
            format!("{millicores}m")
        }
    }

    /// As memory is written, whole mebibytes: `256Mi`, `1Gi`.
    pub fn memory(self) -> String {
        let mebibytes = self.0 / MEBI;
        if mebibytes % 1024 == 0 && mebibytes > 0 {
            format!("{}Gi", mebibytes / 1024)
        } else {
            format!("{mebibytes}Mi")
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
            ("100m", Quantity::millicores(100)),
            ("1", Quantity::units(1)),
            ("0.5", Quantity::millicores(500)),
            (".5", Quantity::millicores(500)),
            ("1.", Quantity::units(1)),
            ("1.5", Quantity::millicores(1500)),
            ("2000000u", Quantity::units(2)),
            ("100n", Quantity(100)),
            ("0.1n", Quantity(1)),
            ("1k", Quantity::units(1000)),
            ("1Ki", Quantity::units(1024)),
            ("256Mi", Quantity::mebibytes(256)),
            ("1Gi", Quantity::mebibytes(1024)),
            ("1e3", Quantity::units(1000)),
            ("1E3", Quantity::units(1000)),
            ("1e-3", Quantity::millicores(1)),
            ("1E", Quantity::units(1_000_000_000_000_000_000)),
            ("1Ei", Quantity::units(1 << 60)),
        ] {
            assert_eq!(text.parse(), Ok(amount), "{text}");
        }
        for text in [
            "",
            ".",
            "Mi",
            "1x",
            "-1",
            "+1",
            "1.2.3",
            "1e",
            "1e99",
            "1 Gi",
            "inf",
            "NaN",
            "é",
            "9".repeat(40).as_str(),
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(NotAQuantity), "{text}");
        }
    }

    #[test]
    fn writes_round_amounts() {
        assert_eq!(Quantity::millicores(1234).cpu(), "1234m");
        assert_eq!(Quantity::units(2).cpu(), "2");
        assert_eq!(Quantity(1).cpu(), "1m", "a little is not nothing");
        assert_eq!(Quantity::mebibytes(1000).memory(), "1000Mi");
        assert_eq!(Quantity::mebibytes(2048).memory(), "2Gi");
        assert_eq!(Quantity::units(100).memory(), "0Mi");
    }
}
