//! How long a pod takes by itself.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::outcome::PATIENCE;
use crate::person::Person;

/// When the app's pod was there, and when it was ready, as the API server tells everybody who watches.
pub struct PodWatch {
    child: Child,
    seen: Receiver<(Instant, bool)>,
}

impl PodWatch {
    /// Watches the pods of somebody's namespace from now on.
    pub fn start(person: &Person) -> Self {
        let ready = r#"jsonpath={.object.status.conditions[?(@.type=="Ready")].status}{"\n"}"#;
        let mut child =
            person.start_kubectl(&["get", "pods", "-w", "--output-watch-events", "-o", ready]);
        let (sender, seen) = channel();
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line == "True")).is_err() {
                    break;
                }
            }
        });
        Self { child, seen }
    }

    /// How long the first pod took from its creation until it was ready.
    ///
    /// # Panics
    /// When none is made, or it is not ready in time.
    pub fn time_of_the_pod(mut self) -> Duration {
        let created = self.seen.recv_timeout(PATIENCE).expect("a pod").0;
        let ready = loop {
            let (at, ready) = self.seen.recv_timeout(PATIENCE).expect("a ready pod");
            if ready {
                break at;
            }
        };
        self.child.kill().expect("the watch ends");
        self.child.wait().expect("the watch has ended");
        ready - created
    }
}
