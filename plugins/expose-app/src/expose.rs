//! `expose-app APP`: finds the app, asks it whether it answers, makes its address, and proves it.

use std::time::Duration;

use commons::apply::{self, DryRun, DryRunFlags};
use commons::cli::{Context, Interrupt};
use commons::grant::Term;
use commons::labels::{self, Labels};
use commons::output::{self, OutputFlags};
use commons::shell::{Shell, shell};
use commons::{Cluster, Error, Kind, Result, Ui, duration, names, printable};
use exposure::{
    self, Attempt, Backend, Exposure, Options, ParentRef, PortRef, Probing, Proof, Resolved, Tls,
    Unproven,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use workload::{App, AppRef, Kind as AppKind, Rollout};

use crate::remedy::{self, CommandLine};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line are what they are"
)]
pub struct ExposeArgs {
    /// The app: a Service, a Deployment, a StatefulSet or a pod, such as `web` or `deployment/web`
    #[arg(value_name = "APP")]
    app: Option<AppRef>,
    /// At this host: a whole name, or one label that the platform's domain is added to [default: APP-YOU.DOMAIN]
    #[arg(long, allow_hyphen_values = true, value_name = "HOST", value_parser = exposure::parse_host)]
    host: Option<String>,
    /// To this port of the app, of its Service or its pods, by number or name
    #[arg(long, allow_hyphen_values = true, value_name = "PORT")]
    port: Option<PortRef>,
    /// For this time from now on, such as `90m`, `8h` or `2d`; then it closes by itself
    #[arg(long = "for", allow_hyphen_values = true, value_name = "DURATION", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Without an end, until you remove it
    #[arg(long, conflicts_with = "duration")]
    forever: bool,
    /// Where the certificate comes from: `wildcard` (the controller's own), `issuer=NAME` (cert-manager), `secret=NAME`, or `off`
    #[arg(long, value_name = "SOURCE")]
    tls: Option<Tls>,
    /// Through the ingress controller of this class [default: as your other addresses, else the cluster's]
    #[arg(long, value_name = "CLASS", conflicts_with_all = ["gateway", "parent"], value_parser = names::parse)]
    class: Option<String>,
    /// By a route of the Gateway API instead of an Ingress, on the Gateway that your other routes use
    #[arg(long)]
    gateway: bool,
    /// By a route on this Gateway
    #[arg(long, value_name = "NAMESPACE/GATEWAY")]
    parent: Option<ParentRef>,
    /// Where the ingress controller runs, to let it in past the network policies of the app
    #[arg(long, value_name = "NAMESPACE", value_parser = names::parse)]
    controller: Option<String>,
    /// Use the host even if something else answers there
    #[arg(long)]
    take: bool,
    /// The page to request when the address is checked
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
    /// Wait at most this long until the app runs
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    timeout: Duration,
    /// Make it without waiting for the app and without proof
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    dry_run: DryRunFlags,
    #[command(flatten)]
    output: OutputFlags,
}

impl ExposeArgs {
    /// The command as it was typed.
    fn typed(&self, here: Option<&str>) -> CommandLine {
        let with =
            |flag: &'static str, value: Option<String>| value.map(|value| shell(flag).arg(value));
        let given = |flag: &'static str, is_given: bool| is_given.then(|| shell(flag));
        let shown = |value: Option<&dyn ToString>| value.map(ToString::to_string);
        let flags = [
            with("--host", self.host.clone()),
            with(
                "--port",
                shown(self.port.as_ref().map(|port| port as &dyn ToString)),
            ),
            with("--for", self.duration.map(duration::exact)),
            given("--forever", self.forever),
            with(
                "--tls",
                shown(self.tls.as_ref().map(|tls| tls as &dyn ToString)),
            ),
            with("--class", self.class.clone()),
            given("--gateway", self.gateway),
            with(
                "--parent",
                shown(self.parent.as_ref().map(|parent| parent as &dyn ToString)),
            ),
            with("--controller", self.controller.clone()),
            given("--take", self.take),
            with("--path", (self.path != "/").then(|| self.path.clone())),
            given("--no-wait", self.no_wait),
        ];
        let app = self.app.as_ref().map(ToString::to_string);
        CommandLine {
            app: app.unwrap_or_else(|| "APP".to_owned()),
            flags: flags.into_iter().flatten().collect(),
            namespace: here.map(str::to_owned),
        }
    }
}

fn path(text: &str) -> Result<String, String> {
    let plain = |c: char| {
        c.is_ascii_graphic()
            && !matches!(
                c,
                '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'
            )
    };
    if text.starts_with('/') && text.chars().all(plain) && text.len() <= 1000 {
        Ok(text.to_owned())
    } else {
        Err("a path starts with `/` and has no spaces".into())
    }
}

pub async fn run(context: &Context, args: ExposeArgs) -> Result<()> {
    let typed = args.typed(context.cluster.named());
    expose(context, args, &typed)
        .await
        .map_err(|error| remedy::phrased(error, &typed))
}

async fn expose(context: &Context, args: ExposeArgs, typed: &CommandLine) -> Result<()> {
    let Context {
        cluster,
        ui,
        interrupt,
        ..
    } = context;
    let options = options(&args)?;
    let here = cluster.named();
    let Some(app_ref) = &args.app else {
        return Err(Error::usage("missing APP")
            .hint("for example: `kubectl expose-app web`")
            .hint("list your apps: `kubectl get deployments,statefulsets,services`"));
    };
    let mut progress = ui.progress("Looking at the app");
    let mut app = workload::find(cluster, cluster.namespace(), app_ref)
        .await
        .map_err(|error| meant_a_command(error, app_ref, context))?;
    if app.kind == AppKind::Service {
        return Err(leads_nowhere(cluster, &app).await);
    }
    let backend = Backend::of(&app);
    let mut resolved = exposure::resolve(cluster, &backend, &options).await?;
    let is_proven = !args.no_wait && args.dry_run.dry_run == DryRun::None;
    if is_proven && exposure::ready_pods(&app.pods).next().is_none() {
        drop(progress);
        app.pods = wait(cluster, ui, interrupt, &app, args.timeout).await?;
        progress = ui.progress("Probing the app");
    }
    exposure::find_port(cluster, &mut resolved, &app.pods).await?;
    if args.dry_run.dry_run == DryRun::Client {
        drop(progress);
        return print_plan(ui, &args, &resolved, None, typed);
    }
    let mut attempt = Attempt::new(cluster, resolved, args.dry_run.dry_run);
    if is_proven {
        progress.say("Probing the app");
        attempt.ask(cluster, Some(&app.pods)).await?;
    }
    drop(progress);
    let shield = interrupt.shield();
    attempt.apply(cluster, &shield).await?;
    if args.dry_run.dry_run == DryRun::Server {
        return print_plan(ui, &args, &attempt.resolved, Some(&attempt.lines()), typed);
    }
    attempt
        .resolved
        .learned
        .iter()
        .for_each(|learned| ui.status(learned));
    attempt.lines().iter().for_each(|line| ui.status(line));
    warn(ui, &attempt.resolved.warnings, typed);
    warn_of_danger(ui, &backend, &attempt, here);
    if !is_proven {
        finish(ui, &attempt).await?;
        return report(cluster, ui, &args, &attempt.resolved, None).await;
    }
    let (proven, proof) = attempt
        .prove(cluster, ui, &shield)
        .await
        .map_err(|unproven| explain(unproven, &args, &remove(&app.name, here)))?;
    finish(ui, &proven).await?;
    report(cluster, ui, &args, &proven.resolved, Some(&proof)).await
}

/// Warns of an app that gives strangers too much, as far as its definition or its answer tells.
fn warn_of_danger(ui: &Ui, backend: &Backend, attempt: &Attempt, here: Option<&str>) {
    let Some(reason) = exposure::reason_against(&backend.containers, attempt.answer()) else {
        return;
    };
    ui.warning(format!(
        "everybody can open this address, without an account of the cluster: {reason}"
    ));
    ui.hint(format!(
        "for yourself alone: `{}`; to close it: `{}`",
        shell("kubectl port-forward")
            .arg(&backend.reference)
            .arg(attempt.resolved.plan.target)
            .option("-n", here),
        remove(&backend.name, here)
    ));
}

/// What became of an address that is not proven; `close` removes it.
fn explain(unproven: Unproven, args: &ExposeArgs, close: &Shell) -> Error {
    match unproven {
        Unproven::Interrupted {
            signal,
            is_there,
            left,
        } => Error::of(
            signal,
            if is_there {
                format!("interrupted: the address is there, but not proven; close it: `{close}`")
            } else {
                "interrupted: nothing new is exposed".to_owned()
            },
        )
        .hints_from(left),
        Unproven::Failed { error, is_kept } => error.hints_from(is_kept.then(|| {
            format!(
                "the Ingress was kept and will work once this is fixed; to remove it: `{close}`"
            )
        })),
        Unproven::Lost { error, left } | Unproven::TakenBack { error, left }
            if !left.is_empty() =>
        {
            error.hints_from(left)
        }
        Unproven::Lost { error, .. } if args.take => error
            .caused_by("the ingress controller obeys them, and `--take` cannot change that")
            .note("what this command made is removed again")
            .hint(exposure::another_host("NAME")),
        Unproven::Lost { error, .. } | Unproven::TakenBack { error, .. } => {
            error.note("what this command made is removed again")
        }
    }
}

/// What is done last, and what the address takes the place of.
async fn finish(ui: &Ui, attempt: &Attempt) -> Result<()> {
    let told = attempt.lines().len();
    let closed = attempt.finish().await?;
    attempt
        .lines()
        .iter()
        .skip(told)
        .for_each(|line| ui.status(line));
    if let Some(closed) = closed {
        ui.status(format!("{closed} is no longer exposed."));
    }
    Ok(())
}

fn options(args: &ExposeArgs) -> Result<Options> {
    let term = match (args.duration, args.forever) {
        (None, false) => None,
        (duration, forever) => Some(Term::new(duration.unwrap_or_default(), forever)?),
    };
    Ok(Options {
        host: args.host.clone(),
        port: args.port.clone(),
        class: args.class.clone(),
        gateway: args.gateway,
        parent: args.parent.clone(),
        tls: args.tls.clone(),
        controller: args.controller.clone(),
        take: args.take,
        term,
        path: Some(args.path.clone()),
        probing: match args.dry_run.dry_run {
            DryRun::None if args.no_wait => Probing::Once,
            DryRun::None => Probing::UntilProven,
            DryRun::Client | DryRun::Server => Probing::Never,
        },
    })
}

/// What was taken for an app may have been a subcommand.
fn meant_a_command(error: Error, typed: &AppRef, context: &Context) -> Error {
    if error.kind() != Kind::NotFound || typed.kind.is_some() {
        return error;
    }
    match context.command_meant(&typed.name) {
        Some(command) => error
            .without_hints()
            .hint(format!("did you mean `{command}`?")),
        None => error,
    }
}

/// A Service with nothing behind it, and what its selector should most likely be.
async fn leads_nowhere(cluster: &Cluster, app: &App) -> Error {
    let selector = app
        .services
        .first()
        .and_then(|service| service.spec.as_ref()?.selector.clone())
        .unwrap_or_default();
    let name = printable::line(&app.name);
    if selector.is_empty() {
        return Error::new(format!(
            "service `{name}` has no selector: no pods of this namespace are behind it"
        ))
        .hint("expose the app itself: `kubectl expose-app deployment/NAME`");
    }
    let error = Error::new(format!("service `{name}` leads to no pods")).caused_by(format!(
        "its `spec.selector` is {}, and no app here has pods with these labels",
        shown(&selector)
    ));
    let deployments: Vec<Deployment> = cluster.list(&app.namespace, "").await.unwrap_or_default();
    let apps = deployments.iter().filter_map(|deployment| {
        let template = &deployment.spec.as_ref()?.template;
        let labels = template.metadata.as_ref()?.labels.clone()?;
        Some((deployment.metadata.name.as_deref()?, labels))
    });
    match labels::likely(&app.name, &selector, apps) {
        Some((deployment, right)) => error
            .caused_by(format!(
                "the pods of deployment/{} carry {}",
                printable::line(deployment),
                shown(&right)
            ))
            .hint(format!(
                "set it right: `{}`",
                shell("kubectl set selector service")
                    .arg(&app.name)
                    .arg(labels::text(&right))
                    .in_namespace(&app.namespace)
            )),
        None => error.hint(format!(
            "compare with the labels of your pods: `{}`; then: `{}`",
            shell("kubectl get pods --show-labels").in_namespace(&app.namespace),
            shell("kubectl edit service")
                .arg(&app.name)
                .in_namespace(&app.namespace)
        )),
    }
}

fn shown(labels: &Labels) -> String {
    printable::short(&labels::text(labels), 200)
}

/// The command that closes the address of an app.
fn remove(app: &str, here: Option<&str>) -> Shell {
    shell("kubectl expose-app remove")
        .arg(app)
        .option("-n", here)
}

/// For how long a pod may be starting, in seconds, before what is wrong with it is told instead of waiting.
const STARTING: i64 = 120;

/// Waits until the app runs, and gives its pods as they are then. If it does not, why not.
async fn wait(
    cluster: &Cluster,
    ui: &Ui,
    interrupt: &Interrupt,
    app: &App,
    timeout: Duration,
) -> Result<Vec<Pod>> {
    let rollout = Rollout {
        namespace: app.namespace.clone(),
        kind: app.kind,
        name: app.name.clone(),
    };
    let newest = app.pods.iter().filter_map(Pod::creation_timestamp).max();
    let since = newest.map(|newest| cluster.now().duration_since(newest.0));
    let is_stuck = since.is_some_and(|since| since.as_secs() > STARTING);
    let found = interrupt
        .shield()
        .race(async {
            if is_stuck
                && let Some(why) = workload::diagnose(cluster, &rollout)
                    .await?
                    .into_iter()
                    .next()
            {
                return Err(why.error);
            }
            workload::wait(cluster, ui, &rollout, timeout).await?;
            let typed = AppRef {
                kind: Some(app.kind),
                name: app.name.clone(),
            };
            workload::find(cluster, &app.namespace, &typed).await
        })
        .await;
    match found {
        Ok(found) => Ok(found.pods),
        Err(error) => Err(match error.kind() {
            Kind::Signal(_) => Error::of(error.kind(), "interrupted: nothing is exposed"),
            _ => error.hint("or do not wait for the app: `--no-wait`"),
        }),
    }
}

fn warn(ui: &Ui, warnings: &[Error], typed: &CommandLine) {
    for warning in warnings {
        ui.warn(&remedy::phrased(warning.clone(), typed));
    }
}

fn print_plan(
    ui: &Ui,
    args: &ExposeArgs,
    resolved: &Resolved,
    checked: Option<&[String]>,
    typed: &CommandLine,
) -> Result<()> {
    for learned in &resolved.learned {
        ui.status(learned);
    }
    warn(ui, &resolved.warnings, typed);
    if let (Some(checked), None) = (checked, args.output.output) {
        return checked.iter().try_for_each(|line| ui.result(line));
    }
    let format = args.output.output;
    let objects = exposure::objects(ui, resolved, format, args.dry_run.dry_run)?;
    apply::print_objects(ui, format, &objects)
}

/// The address alone goes to standard output.
async fn report(
    cluster: &Cluster,
    ui: &Ui,
    args: &ExposeArgs,
    resolved: &Resolved,
    proof: Option<&Proof>,
) -> Result<()> {
    let plan = &resolved.plan;
    let now = cluster.now();
    if let Some(proof) = proof {
        warn(ui, &proof.warnings, &args.typed(cluster.named()));
        let certificate = match proof.certificate_until {
            Some(until) => format!(
                "its certificate is valid until {}, ",
                until.strftime("%Y-%m-%d")
            ),
            None => String::new(),
        };
        let login = if proof.asks_for_login {
            "; it asks for a login"
        } else {
            ""
        };
        ui.status(format!(
            "Checked: {} resolves, {certificate}and {} there ({}{login}).",
            plan.host,
            if proof.is_certain {
                format!("{} answers", plan.app)
            } else {
                format!("something answers as {} does", plan.app)
            },
            proof.answer
        ));
    }
    let all = exposure::all(cluster, Some(&plan.namespace)).await?;
    let own: Vec<Exposure> = all
        .into_iter()
        .filter(|exposure| exposure.object == plan.name)
        .collect();
    warn(ui, &exposure::endless(&own), &args.typed(cluster.named()));
    if args.output.output.is_some() {
        return output::list(ui, args.output.output, &own, "");
    }
    if let Some(exposure) = own.first()
        && let (Some(until), Some(left)) = (exposure.until, &exposure.left)
    {
        let left = args.duration.map_or_else(|| left.clone(), duration::rough);
        ui.status(format!(
            "It closes by itself in {left} ({}).",
            duration::moment(until, now)
        ));
    }
    ui.status(format!(
        "To close it: {}",
        remove(&plan.app, cluster.named())
    ));
    ui.result(plan.url())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ExposeArgs,
    }

    /// Hints repeat the command that was typed: a flag that is missing there would be lost when it is pasted.
    #[test]
    fn every_flag_is_in_the_command_that_hints_repeat() {
        // How it is gone about, and not what the address is.
        let left_out = ["dry-run", "output", "timeout"];
        let command = Line::command();
        let flags = command
            .get_arguments()
            .filter(|arg| arg.get_long().is_some());
        for flag in flags.filter(|arg| !left_out.contains(&arg.get_long().unwrap_or_default())) {
            let long = format!("--{}", flag.get_long().unwrap_or_default());
            let mut line = vec!["expose-app".to_owned(), "web".to_owned(), long.clone()];
            if flag.get_action().takes_values() {
                let example = match &long[..] {
                    "--for" => "8h",
                    "--tls" => "off",
                    "--parent" => "edge/shared",
                    "--path" => "/page",
                    "--port" => "8000",
                    _ => "name",
                };
                line.push(example.to_owned());
            }
            let Line { args } = Line::try_parse_from(line).expect("a command line");
            let typed = args.typed(None);
            assert!(
                typed.flags.iter().any(|typed| typed.first() == long),
                "{long} is not repeated"
            );
        }
    }

    #[test]
    fn paths_are_those_of_urls() {
        assert_eq!(path("/a?b=c"), Ok("/a?b=c".into()));
        for wrong in ["a", "", "/a b", "/\u{1b}", "/a\r\nHost: x", "/#"] {
            assert!(path(wrong).is_err(), "{wrong:?}");
        }
    }
}
