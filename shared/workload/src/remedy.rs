//! What helps an app to come up; a plugin says it in its own flags.

use commons::error::Hint;

/// What is to be changed of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The image.
    Image,
    /// What it runs.
    Command,
    /// A variable of its environment.
    Environment,
    /// The port on which it is to listen.
    Port,
    /// As whom it runs.
    User,
    /// What it may do on its node, in the terms of Pod Security.
    Privileges,
    /// How long it may take to start.
    Patience,
    /// More memory than its limit, a quantity; empty where it has none of its own.
    MoreMemory(String),
    /// How much it requests: less of these, of which it requests so much, if that is known.
    Less(Vec<(Amount, Option<String>)>),
    /// How much it requests: these are out of bounds.
    Bounds(Vec<Amount>),
}

/// What an app requests an amount of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Pods.
    Replicas,
}

impl Remedy {
    /// The hint with it; the text is for whoever edits manifests.
    pub fn hint(self, text: impl Into<String>) -> Hint {
        Hint::with_remedy(self, text)
    }
}
