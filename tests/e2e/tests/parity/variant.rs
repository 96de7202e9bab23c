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
    TokenAsked,
    /// What is not used is not judged.
    Unused,
    /// What can be read only one way is read.
    Readable,
    /// Flags that are not about the credential leave the pod's credential in place.
    PodFlags,
}

impl Exception {
    pub(super) const ALL: [Self; 4] = [
        Self::TokenAsked,
        Self::Unused,
        Self::Readable,
        Self::PodFlags,
    ];

    /// Why it differs.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::TokenAsked => {
                "`--token` over a client certificate: kubectl sends both and the API server takes the certificate; ours takes the token, which was asked for"
            }
            Self::Unused => {
                "a broken entry that is not used: kubectl refuses the whole file, ours the entry"
            }
            Self::Readable => {
                "blanks inside base64, `!!binary` and the like, which can mean one thing only: kubectl refuses, ours reads it"
            }
            Self::PodFlags => {
                "in a pod, flags such as `--request-timeout` and `--as` make kubectl forget the ServiceAccount and ask localhost:8080; ours keeps it"
            }
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
