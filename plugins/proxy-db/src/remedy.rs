//! What the listener tells and what helps, in this command's words.

use commons::{Error, Ui};
use tunnel::listener::{ListenerRemedy, Notice};

/// Says what there is to know of the connections.
pub fn tell(ui: &Ui, notice: Notice) {
    match notice {
        Notice::Failed { line, hints } => {
            let error = Error::new(format!("a connection failed: {line}")).hints_from(hints);
            ui.warn(&phrased(error));
        }
        Notice::Exhausted(error) => ui.warning(format!("new connections wait: {error}")),
        Notice::StillOpen(1) => ui.status("One connection is still open; Ctrl-C ends it"),
        Notice::StillOpen(open) => ui.status(format!(
            "{open} connections are still open; Ctrl-C ends them"
        )),
    }
}

/// The same failure with this command's flags.
pub fn phrased(error: Error) -> Error {
    error.phrased(|hint| {
        let said = match hint.remedy()? {
            ListenerRemedy::AnyLocalUser => {
                "`--any-local-user` lets every user of this machine in, with whatever access the database gives local connections"
            }
            ListenerRemedy::AnyPort => "omit `--port`: a free port is chosen",
        };
        Some(vec![said.to_owned()])
    })
}
