//! Containers that end, or never start.
//!
//! When is a crash final? One crash may be a race at the start (a database that is not ready yet). Waiting is of no use when the
//! container could not even be started, when it has ended twice, when it has been down for eight seconds, or when nothing will
//! start it again. One that runs again is given its time.

use super::{ContainerPlace, Report, between, logs, pod_field, said, there};
use crate::remedy::Remedy;
use crate::seen::{ContainerStatus, Terminated};
use commons::error::{Error, Hint};
use commons::printable;
use commons::shell::shell;

/// How long a container may be down after its first crash, in seconds.
const PATIENCE: i64 = 8;

/// A container that ended, or could not be started.
pub(super) fn ended(at: &ContainerPlace<'_>, status: &ContainerStatus, report: &mut Report) {
    let waits = status
        .state
        .waiting
        .as_ref()
        .map(|waiting| waiting.reason.as_str());
    let runs_again = status.state.running.is_some();
    let Some(end) = status
        .state
        .terminated
        .as_ref()
        .or(status.last_state.terminated.as_ref())
    else {
        // The first attempt to start it has just failed.
        if let Some(waiting) = &status.state.waiting
            && matches!(
                waits,
                Some("RunContainerError" | "StartError" | "PostStartHookError")
            )
        {
            report.add(true, not_started(at, &waiting.message));
        }
        return;
    };
    // What keeps it from starting again is told by others; the end before that is not the cause.
    if waits.is_some_and(|reason| {
        !matches!(
            reason,
            "CrashLoopBackOff"
                | "RunContainerError"
                | "StartError"
                | "PostStartHookError"
                | "PodInitializing"
                | "ContainerCreating"
        )
    }) {
        return;
    }
    let is_init = at.state.pod_spec().is_some_and(|spec| {
        spec.init_containers
            .iter()
            .any(|init| init.name == status.name && init.restart_policy != "Always")
    });
    if end.exit_code == 0 && (is_init || at.pod.spec.restart_policy == "OnFailure") {
        return;
    }
    if matches!(end.reason.as_str(), "StartError" | "ContainerCannotRun")
        || end.message.contains("OCI runtime")
    {
        report.add(true, not_started(at, &end.message));
        return;
    }
    if super::probe::killed(at, end, report, runs_again) {
        return;
    }
    let ends = status.restart_count + i64::from(!runs_again);
    let for_good = at.pod.spec.restart_policy == "Never";
    let down = at.state.since(end.finished_at).as_secs();
    let is_final = !runs_again
        && (ends >= 2 || for_good || waits == Some("CrashLoopBackOff") || down >= PATIENCE);
    let log = report
        .log(
            at.state,
            &at.pod.metadata.name,
            &at.container.name,
            runs_again,
        )
        .map(str::to_owned);
    report.add(is_final, crashed(at, end, ends, log.as_deref()));
}

/// A container that could not be started: there was no process.
fn not_started(at: &ContainerPlace<'_>, message: &str) -> Error {
    let error = Error::new(format!("{} cannot be started", at.subject()));
    let command = Remedy::Command.hint(format!("correct `{}` (or the image)", at.field("command")));
    if let Some(program) = between(message, "exec: \"", "\": ") {
        let program = printable::short(program, 100);
        let has_own = !at.container.command.is_empty() || !at.container.args.is_empty();
        let error = if message.contains("executable file not found")
            || message.contains("no such file or directory")
        {
            error.caused_by(format!(
                "there is no program `{program}` in image `{}`",
                printable::short(&at.container.image, 200)
            ))
        } else if message.contains("permission denied") {
            error.caused_by(format!("`{program}` may not be executed: it is not a program, lacks the permission `x`, or is a directory"))
        } else if message.contains("exec format error") {
            return wrong_machine(error, &program);
        } else {
            error.caused_by(said(message))
        };
        return if has_own && program.contains(' ') {
            error.hint(Remedy::Command.hint(format!("write the program and its arguments as separate items of `{}`: `[\"python\", \"main.py\"]`", at.field("command"))))
        } else if has_own {
            error.hint(Remedy::Command.hint(format!(
                "correct `{}`, or `{}`",
                at.field("command"),
                at.field("args")
            )))
        } else {
            error.hint(
                "the command comes from the image: correct its Dockerfile, or use another tag",
            )
        };
    }
    if message.contains("exec format error") {
        return wrong_machine(error, "its program");
    }
    if let Some(path) = between(message, "chdir to cwd (\"", "\")") {
        return error
            .caused_by(format!(
                "its working directory `{}` does not exist or may not be entered",
                printable::short(path, 200)
            ))
            .hint(format!("correct `{}`", at.field("workingDir")));
    }
    if let Some(path) = between(message, "to rootfs at \"", "\"") {
        let path = printable::short(path, 200);
        return error
            .caused_by(if message.contains("not a directory") {
                format!("what is mounted at `{path}` is a directory and what the image has there a file, or the reverse")
            } else {
                format!("nothing can be mounted at `{path}`: {}", said(message.rsplit_once("flags: ").map_or(message, |(_, why)| why)))
            })
            .hint(format!(
                "correct `mountPath` in `{}`; `subPath` mounts a single file",
                at.field("volumeMounts")
            ));
    }
    error.caused_by(said(message)).hint(command)
}

fn wrong_machine(error: Error, program: &str) -> Error {
    error
        .caused_by(format!("{program} was built for another kind of processor, or is a script without `#!`"))
        .hint("build the image for this cluster's nodes: `docker buildx build --platform linux/amd64 ...` (or linux/arm64, as they are)")
}

/// A container that ran and ended.
fn crashed(at: &ContainerPlace<'_>, end: &Terminated, ends: i64, log: Option<&str>) -> Error {
    let lines = last_lines(log.unwrap_or_default());
    let times = if ends > 1 {
        format!(" ({ends} times)")
    } else {
        String::new()
    };
    let memory = at.container.resources.limits.get("memory");
    let says_so = end.reason == "OOMKilled";
    let error = match (end.exit_code, end.reason.as_str()) {
        _ if is_out_of_memory(at, end) => {
            let error = Error::new(format!("{} was OOMKilled{times}", at.subject())).caused_by(
                match memory {
                    Some(limit) => format!("its limit is {}", printable::short(limit, 20)),
                    None => {
                        "the node had none left, or the namespace's default limit is too low".into()
                    }
                },
            );
            if says_so {
                error
            } else {
                error.caused_by("the node says only that it was killed (SIGKILL), as is done to what passes its limit")
            }
        }
        (0, _) => Error::new(format!(
            "{} exits with code 0 and is restarted{times}",
            at.subject()
        ))
        .caused_by("the program ended; it must keep running, as a server does"),
        (code, _) => Error::new(format!("{} crashes: exit code {code}{times}", at.subject()))
            .caused_by(meaning(code)),
    };
    let error = match (lines.is_empty(), log.is_some()) {
        (false, _) => error
            .caused_by("it wrote last:")
            .quoting(lines.iter().copied()),
        (true, true) => error.caused_by("it wrote nothing"),
        (true, false) => error,
    };
    error.hints_from(advice(at, end, &lines))
}

/// Whether a container was killed for its memory. A node may miss why and say only that it was killed; where there is a limit,
/// and no probe and nobody else is known to kill, that is why.
fn is_out_of_memory(at: &ContainerPlace<'_>, end: &Terminated) -> bool {
    let is_limited = at.container.resources.limits.contains_key("memory");
    end.reason == "OOMKilled" || (end.exit_code == 137 && is_limited)
}

/// What an exit code says (128 + n is signal n; the rest are shells' and Unix's habits).
pub(super) fn meaning(code: i64) -> String {
    match code {
        2 => "the program was called wrongly, or reports a failure".into(),
        126 => "the command is there but cannot be executed".into(),
        127 => "the command was not found in the image".into(),
        134 => "the program aborted itself (SIGABRT)".into(),
        137 => "it was killed (SIGKILL): from outside, or for want of memory on the node".into(),
        139 => "it reached for memory that is not its own (SIGSEGV): a fault of the program, or built for another processor".into(),
        143 => "it was told to end (SIGTERM)".into(),
        129..=192 => format!("it was ended by signal {}", code - 128),
        _ => "the program reports a failure".into(),
    }
}

/// What to do about an end, as far as the code and the last lines tell.
fn advice(at: &ContainerPlace<'_>, end: &Terminated, lines: &[&str]) -> Vec<Hint> {
    let logs = Hint::new(format!("read all of it: `{}`", logs(at)));
    if is_out_of_memory(at, end) {
        let limit = at.container.resources.limits.get("memory");
        return vec![
            Remedy::MoreMemory(limit.cloned().unwrap_or_default())
                .hint(format!("raise `{}`", at.field("resources.limits.memory"))),
        ];
    }
    if end.exit_code == 0 {
        let server = Remedy::Command.hint(format!(
            "let `{}` start a server that stays; what is to run once is a Job: `kubectl create job`",
            at.field("command")
        ));
        return vec![server, logs];
    }
    let text = lines.join("\n").to_lowercase();
    let is_said = |words: &&[&str]| words.iter().all(|word| text.contains(word));
    let said = KNOWN.iter().find(|(marks, _)| marks.iter().any(is_said));
    match said {
        Some((_, advice)) => advice(at, logs),
        None if matches!(end.exit_code, 126 | 127) => {
            let command = Remedy::Command.hint(format!("correct `{}`", at.field("command")));
            vec![command, logs]
        }
        None => vec![logs],
    }
}

/// What to do, and the hint to read all of the log.
type Advice = fn(&ContainerPlace<'_>, Hint) -> Vec<Hint>;

/// What programs say before they end, in lower case: any of these, each with all its words, which may stand in several lines.
const KNOWN: [(&[&[&str]], Advice); 6] = [
    (&[&["exec format error"]], |_, _| {
        vec!["build the image for this cluster's nodes: `docker buildx build --platform linux/amd64 ...` (or linux/arm64, as they are)".into()]
    }),
    (&[&["read-only file system"], &["erofs"]], |at, _| {
        vec![Hint::new(format!(
            "it writes into its own image, which `readOnlyRootFilesystem` forbids: mount an `emptyDir` where it writes, or set `{}` to false",
            at.field("securityContext.readOnlyRootFilesystem")
        ))]
    }),
    (
        &[
            &["bind", "permission denied"],
            &["bind", "eacces"],
            &["listen", "permission denied"],
            &["listen", "eacces"],
            &["socket", "permission denied"],
            &["socket", "eacces"],
        ],
        |at, _| {
            vec![Hint::new(format!(
                "it does not run as root and may not listen on a port below 1024: let it listen on 8080, and say so in `{}`",
                at.field("ports")
            ))]
        },
    ),
    (&[&["address already in use"], &["eaddrinuse"]], |_, _| {
        vec!["two programs of one pod listen on the same port: give one of them another".into()]
    }),
    (
        &[
            &["permission denied"],
            &["eacces"],
            &["operation not permitted"],
        ],
        |at, logs| {
            let volume = Hint::new(format!(
                "it does not run as root and may not do this: mount a volume where it writes, with `fsGroup` in `{}`",
                pod_field(at.state, "securityContext")
            ));
            vec![volume, logs]
        },
    ),
    (
        &[
            &["connection refused"],
            &["econnrefused"],
            &["could not connect"],
            &["could not translate host name"],
            &["name or service not known"],
            &["enotfound"],
            &["name resolution"],
        ],
        |at, _| {
            let address = Remedy::Environment.hint(format!(
                "something that it connects to does not answer: check the address it is given in `{}`",
                at.field("env")
            ));
            let others = there(at.state, shell("kubectl get services,pods"));
            vec![address, Hint::new(format!("and what there is: `{others}`"))]
        },
    ),
];

/// The last ten lines that say something.
fn last_lines(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(10)..].to_vec()
}
