//! Runs all variants and makes the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::Outcome;

use crate::parity::attempt::{Attempt, Observed};
use crate::parity::ground::Ground;
use crate::parity::variant::{Does, Exception, Variant};

/// How many variants go on at once: they compute little.
const AT_ONCE: usize = 4;
/// How much of what a program said is shown.
const LINES: usize = 12;

/// A variant and what both programs made of it.
pub(super) struct Row {
    variant: Variant,
    kubectl: Observed,
    ours: Observed,
    through: Option<bool>,
    runs: Option<usize>,
}

/// Prepares all variants, then runs them.
pub(super) fn rows(ground: &Ground, variants: Vec<Variant>) -> Vec<Row> {
    let attempts: Vec<(Variant, Attempt)> = variants
        .into_iter()
        .enumerate()
        // All programs are written before any is run: one that is being written cannot be.
        .map(|(number, variant)| {
            let attempt = (variant.make)(Attempt::new(ground, number));
            (variant, attempt)
        })
        .collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some((_, attempt)) = attempts.get(number)
                {
                    let kubectl = attempt.run(&ground.kubectl, &["get", "pods", "-o", "name"]);
                    let ours = attempt.run(&ground.ours, &["list", "-o", "name"]);
                    done.lock().unwrap().insert(number, (kubectl, ours));
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    attempts
        .into_iter()
        .zip(done.into_values())
        .map(|((variant, attempt), (kubectl, ours))| Row {
            through: attempt.expected_through(),
            runs: attempt.expected_runs(),
            variant,
            kubectl,
            ours,
        })
        .collect()
}

impl Observed {
    fn does(&self) -> Does {
        if self.outcome.code == 0 {
            Does::Works
        } else {
            Does::Refuses
        }
    }

    /// What is seen of it beside its success.
    fn notes(&self) -> String {
        let through = match self.through {
            Some(true) => ", through the proxy",
            Some(false) => ", past the proxy",
            None => "",
        };
        let runs = match self.runs {
            None => String::new(),
            Some(1) => ", 1 plugin run".to_owned(),
            Some(runs) => format!(", {runs} plugin runs"),
        };
        format!("{through}{runs}")
    }

    fn said(&self) -> String {
        let Outcome {
            stdout,
            stderr,
            code,
            ..
        } = &self.outcome;
        let text = format!("exit code {code}\n{stdout}{stderr}");
        let lines: Vec<&str> = text.lines().take(LINES).collect();
        lines.join("\n    ")
    }
}

impl Row {
    /// Whether the two programs did different things.
    fn differs(&self) -> bool {
        self.kubectl.does() != self.ours.does() || self.kubectl.notes() != self.ours.notes()
    }

    fn name(&self) -> String {
        self.variant.title()
    }

    /// What is not as it should be, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        let mut faults = Vec::new();
        let mut check = |who: &str, observed: &Observed, expected: Does| {
            if observed.does() != expected {
                faults.push(format!("{who} {} instead of {expected}", observed.does()));
            }
            // Who refuses on purpose does not come that far.
            if expected == Does::Refuses && self.variant.exception.is_some() {
                return;
            }
            if self.through.is_some() && observed.through != self.through {
                faults.push(format!("{who}: wrong{}", observed.notes()));
            }
            if self.runs.is_some() && observed.runs != self.runs {
                faults.push(format!("{who}: wrong{}", observed.notes()));
            }
        };
        check("kubectl", &self.kubectl, self.variant.kubectl);
        check("ours", &self.ours, self.variant.ours);
        if self.ours.does() == Does::Refuses && !well_refused(&self.ours.outcome) {
            faults.push("ours does not end with one line `error: ...`".to_owned());
        }
        (!faults.is_empty()).then(|| {
            format!(
                "{}: {}\n  kubectl: {}\n  ours: {}",
                self.name(),
                faults.join("; "),
                self.kubectl.said(),
                self.ours.said()
            )
        })
    }
}

/// Whether this is how an error looks: code 1 or 2, one line that says what is wrong, and no crash.
fn well_refused(outcome: &Outcome) -> bool {
    let errors = outcome.stderr.lines();
    let errors = errors.filter(|line| line.starts_with("error: ")).count();
    matches!(outcome.code, 1 | 2) && errors == 1 && !outcome.stderr.contains("panicked")
}

/// The table and its counts.
pub(super) fn text(rows: &[Row]) -> String {
    let width = rows
        .iter()
        .map(|row| row.variant.name.chars().count())
        .max();
    let width = width.unwrap_or_default();
    let mut text = format!(
        "{:20} {:width$} {:8} {:8} DIFFERENCE\n",
        "CASE", "VARIANT", "KUBECTL", "OURS"
    );
    for row in rows {
        let difference = match (row.differs(), row.variant.exception) {
            (false, _) => String::new(),
            (true, Some(exception)) => format!("on purpose: {exception:?}"),
            (true, None) => format!(
                "kubectl {}{}; ours {}{}",
                row.kubectl.does(),
                row.kubectl.notes(),
                row.ours.does(),
                row.ours.notes()
            ),
        };
        let Variant { case, name, .. } = row.variant;
        let (kubectl, ours) = (row.kubectl.does(), row.ours.does());
        let line = format!("{case:20} {name:width$} {kubectl:8} {ours:8} {difference}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for exception in Exception::ALL {
        let _ = writeln!(text, "{exception:?}: {}", exception.reason());
    }
    let works = |observed: fn(&Row) -> &Observed| {
        let works = rows
            .iter()
            .filter(|row| observed(row).does() == Does::Works);
        works.count()
    };
    let differing: Vec<String> = rows
        .iter()
        .filter(|row| row.differs())
        .map(Row::name)
        .collect();
    let _ = writeln!(
        text,
        "{} variants, kubectl works in {}, ours in {}, differ in {}: {}",
        rows.len(),
        works(|row| &row.kubectl),
        works(|row| &row.ours),
        differing.len(),
        differing.join("; ")
    );
    text
}

/// Prints it where `cargo test -- --nocapture` shows it.
#[expect(clippy::print_stdout, reason = "the table is what this test is for")]
pub(super) fn print(text: &str) {
    println!("{text}");
}
