//! What is tried: one way to reach the cluster, and what both programs make of it.

use std::fmt;

use crate::parity::attempt::Attempt;

/// What a program does with a way to reach the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It gets its answer.
    Works,
    /// It ends with an error.
    Refuses,
}

impl fmt::Display for Does {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Works => "works",
            Self::Refuses => "refuses",
        })
    }
}

/// Where ours differs from kubectl on purpose. There are at most five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    /// What was given on the command line counts.
    FlagCounts,
    /// What is not used is not judged.
    Unused,
    /// What can be read only one way is read.
    Readable,
    /// What does not matter here does no harm.
    Harmless,
    /// What the TLS library cannot do.
    Library,
}

impl Exception {
    pub(super) const ALL: [Self; 5] = [
        Self::FlagCounts,
        Self::Unused,
        Self::Readable,
        Self::Harmless,
        Self::Library,
    ];

    /// Why it differs.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::FlagCounts => {
                "what was given on the command line counts, or is refused: kubectl passes `--token` over for a certificate and a token file of the kubeconfig, `--insecure-skip-tls-verify=false` and others altogether"
            }
            Self::Unused => {
                "a broken entry that is not used: kubectl refuses the whole file, ours the entry"
            }
            Self::Readable => {
                "what can mean one thing only, such as `!!binary`, `kind: config` and JSON's `\\/`: kubectl refuses, ours reads it"
            }
            Self::Harmless => {
                "what does not matter does no harm: kubectl stumbles over `--request-timeout` in a pod, LOCALHOST in capitals beside a proxy, a password in the server's URL beside a token, credentials where no TLS is spoken"
            }
            Self::Library => "keys on the curve P-521: ours cannot sign with them, and says so",
        }
    }
}

/// One way to reach the cluster.
pub(super) struct Variant {
    /// The report or the kind of credential that it belongs to.
    pub(super) case: &'static str,
    /// What is special about it.
    pub(super) name: &'static str,
    pub(super) kubectl: Does,
    pub(super) ours: Does,
    /// Why the two differ.
    pub(super) exception: Option<Exception>,
    /// Prepares it.
    pub(super) make: for<'g> fn(Attempt<'g>) -> Attempt<'g>,
}

impl Variant {
    /// Its case and its name.
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.case, self.name)
    }
}

/// Both programs work.
pub(super) fn works(
    case: &'static str,
    name: &'static str,
    make: for<'g> fn(Attempt<'g>) -> Attempt<'g>,
) -> Variant {
    Variant {
        case,
        name,
        kubectl: Does::Works,
        ours: Does::Works,
        exception: None,
        make,
    }
}

/// Both programs refuse.
pub(super) fn refused(
    case: &'static str,
    name: &'static str,
    make: for<'g> fn(Attempt<'g>) -> Attempt<'g>,
) -> Variant {
    Variant {
        kubectl: Does::Refuses,
        ours: Does::Refuses,
        ..works(case, name, make)
    }
}

/// kubectl refuses and ours works.
pub(super) fn kinder(
    case: &'static str,
    name: &'static str,
    exception: Exception,
    make: for<'g> fn(Attempt<'g>) -> Attempt<'g>,
) -> Variant {
    Variant {
        kubectl: Does::Refuses,
        exception: Some(exception),
        ..works(case, name, make)
    }
}

/// kubectl works and ours refuses.
pub(super) fn stricter(
    case: &'static str,
    name: &'static str,
    exception: Exception,
    make: for<'g> fn(Attempt<'g>) -> Attempt<'g>,
) -> Variant {
    Variant {
        ours: Does::Refuses,
        exception: Some(exception),
        ..works(case, name, make)
    }
}
