//! Keycloak, fetched with Maven and prepared once: its build step, a database with the realms, and an archive of its loaded classes. A node
//! starts from copies of these, which takes a third of the time.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    cache::{self, Entry, Key},
    certificates,
    error::{Context as _, Error, Result},
    external,
    interrupt::{self, LongChild},
    issuer::{self, ADMIN, CLIENT, Realm},
    layout::LOGIN_HOST,
    machine,
    progress::{Progress, readable},
    users, wait,
};

const VERSION: &str = "26.5.6";
/// SHA-256 of the distribution, a zip archive.
const CHECKSUM: &str = "490189d9dff05272432d51f71a069462eeca97f2920a694d539a1e6c26a5a347";
/// The Maven plugin that fetches, so that every machine uses the same.
const FETCH: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:get";

/// Disk that the entry wants while it is made.
const SPACE_GIB: u64 = 2;

/// The directory of an entry, and of a node's state, that holds Keycloak.
pub(crate) const HOME: &str = "keycloak";
/// The archive of loaded classes in an entry.
pub(crate) const CLASSES: &str = "classes.jsa";
/// Of the distribution, what a node uses as it is.
pub(crate) const SHARED: &[&str] = &["conf", "lib", "providers", "themes"];
/// Of the distribution, what each node has a copy of: the database.
pub(crate) const DATABASE: &str = "data/h2";

/// How to run Java, from the directory that has [`HOME`] in it: the archive of classes is used only when the class path is the same.
/// Compiled quickly rather than well, and on one core: a node lives for a test.
pub(crate) const JAVA: &[&str] = &[
    // What cannot go into the archive of classes is thousands of lines.
    "-Xlog:disable",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "-Dkc.home.dir=./keycloak",
    "-Djboss.server.config.dir=./keycloak/conf",
    "-cp",
    "keycloak/lib/quarkus-run.jar",
    "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
    "start",
    "--optimized",
    "--cache=local",
];

/// The directory of the cache that holds Keycloak as described above, made now if it was not yet.
pub(crate) fn ensure(progress: &Progress) -> Result<PathBuf> {
    machine::ensure_java(progress)?;
    let mut key = Key::new().with(VERSION).with(CHECKSUM);
    for argument in JAVA {
        key = key.with(argument);
    }
    for &realm in Realm::ALL {
        key = key.with(definition(realm).to_string());
    }
    let entry = Entry::new("programs", &format!("keycloak-{}", key.short()))?;
    let waiting = || progress.doing("another run is preparing keycloak");
    entry.get_or_make(waiting, |scratch| make(scratch, progress))
}

fn make(scratch: &Path, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    machine::check_free_space(scratch, SPACE_GIB)?;
    machine::ensure_maven(progress)?;
    progress.say("preparing keycloak (the first time on a machine takes about 2 min)");
    progress.doing("keycloak: fetching");
    let archive = fetch(scratch)?;
    progress.doing("keycloak: unpacking");
    interrupt::run(
        external::command("unzip")
            .arg("-q")
            .arg(&archive)
            .arg("-d")
            .arg(scratch),
    )?;
    let home = scratch.join(HOME);
    fs::rename(scratch.join(format!("keycloak-{VERSION}")), &home)
        .with_context(|| format!("{} cannot be made", home.display()))?;
    cache::remove_all(&scratch.join("maven"))?;
    progress.doing("keycloak: building");
    let script = home.join("bin/kc.sh");
    interrupt::run(
        said_as_error("sh")
            .arg(script)
            .args(["build", "--db=dev-file"]),
    )?;
    progress.doing("keycloak: making its database");
    start_once(scratch)?;
    progress.say(&format!(
        "prepared keycloak in {}",
        readable(started.elapsed())
    ));
    Ok(())
}

/// Fetches the distribution into the directory `maven`, and leaves nothing elsewhere.
fn fetch(scratch: &Path) -> Result<PathBuf> {
    let repository = scratch.join("maven");
    let mut maven = said_as_error("mvn");
    maven
        .args(["--batch-mode", "--quiet"])
        .arg(format!("-Dmaven.repo.local={}", repository.display()))
        .args([FETCH, "-Dtransitive=false"])
        .arg(format!(
            "-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        ))
        .current_dir(scratch);
    interrupt::run(&mut maven).map_err(|error| {
        error.hint("check that Maven can fetch: `mvn help:effective-settings` shows its settings")
    })?;
    let archive = repository.join(format!(
        "org/keycloak/keycloak-quarkus-dist/{VERSION}/keycloak-quarkus-dist-{VERSION}.zip"
    ));
    let content =
        fs::read(&archive).with_context(|| format!("{} cannot be read", archive.display()))?;
    let found = cache::hex(&Sha256::digest(content));
    if found == CHECKSUM {
        return Ok(archive);
    }
    Err(
        Error::new("keycloak is not what it was when its checksum was written down")
            .because(format!("SHA-256 is {found}, expected {CHECKSUM}")),
    )
}

/// A command whose standard output goes to standard error: these programs tell there why they failed.
fn said_as_error(program: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec "$@" >&2"#, "sh"])
        .arg(external::find(program).unwrap_or_else(|| PathBuf::from(program)));
    command
}

/// Starts Keycloak for the first time: it makes its database with the realms, and at its end writes down which classes it has loaded.
fn start_once(scratch: &Path) -> Result<()> {
    let failed = "keycloak cannot be started for the first time";
    let import = scratch.join(HOME).join("data/import");
    fs::create_dir_all(&import).context(failed)?;
    for &realm in Realm::ALL {
        let file = import.join(format!("{}.json", realm.name()));
        fs::write(file, definition(realm).to_string()).context(failed)?;
    }
    // Gone when this is done: the certificate of the first start and its log.
    let first = scratch.join("first");
    fs::create_dir(&first).context(failed)?;
    certificates::self_signed(&[LOGIN_HOST])?.write(&first, "login")?;
    let log = first.join("log");
    let output = File::create(&log).context(failed)?;
    let mut command = external::command("java");
    command
        .arg(format!("-XX:ArchiveClassesAtExit={CLASSES}"))
        .args(JAVA)
        .args(["--import-realm", "--http-host=127.0.0.1", "--https-port=0"])
        .arg(format!("--hostname=https://{LOGIN_HOST}"))
        .args([
            "--https-certificate-file=first/login.crt",
            "--https-certificate-key-file=first/login.key",
        ])
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN)
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN)
        .current_dir(scratch)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context(failed)?)
        .stderr(output);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let mut running = LongChild::spawn(&mut command)?;
    wait::until("keycloak has started", Duration::from_mins(5), || {
        if let Some(status) = running.child.try_wait().context(failed)? {
            return Err(external::failed(&command, status.to_string(), &said()));
        }
        Ok(said().contains("Listening on:").then_some(()))
    })?;
    if let Some(pid) = i32::try_from(running.child.id())
        .ok()
        .and_then(Pid::from_raw)
    {
        kill_process(pid, Signal::TERM).context("keycloak cannot be ended")?;
    }
    running.child.wait().context(failed)?;
    interrupt::check()?;
    for needed in [CLASSES.to_owned(), format!("{HOME}/{DATABASE}")] {
        if !scratch.join(&needed).exists() {
            return Err(Error::new(format!("keycloak did not make {needed}")).show(said()));
        }
    }
    cache::remove_all(&first)?;
    cache::remove_all(&import)
}

/// A realm as Keycloak imports it, with the users every node starts with.
fn definition(realm: Realm) -> Value {
    let lifetimes = realm.lifetimes();
    let mut definition = json!({
        "realm": realm.name(),
        "enabled": true,
        "eventsEnabled": true,
        "eventsExpiration": 86_400,
        "enabledEventTypes": ["LOGIN", "LOGIN_ERROR", "LOGOUT", "REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"],
        "clients": [{
            "clientId": CLIENT,
            "publicClient": true,
            "directAccessGrantsEnabled": true,
            "redirectUris": ["*"],
            "protocolMappers": [{
                "name": "groups",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-group-membership-mapper",
                "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"},
            }],
        }],
        "users": users::DEFAULT.iter().map(|name| issuer::user(name, &[])).collect::<Vec<_>>(),
    });
    if let (Some(all), Some(more)) = (definition.as_object_mut(), lifetimes.settings().as_object())
    {
        all.extend(more.clone());
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_has_the_client_the_lifetimes_and_everybody() {
        let realm = definition(Realm::SingleUse);
        assert_eq!(realm["realm"], "single-use");
        assert_eq!(realm["accessTokenLifespan"], 30);
        assert_eq!(realm["revokeRefreshToken"], true);
        assert_eq!(realm["clients"][0]["clientId"], CLIENT);
        assert_eq!(
            realm["users"].as_array().unwrap().len(),
            users::DEFAULT.len()
        );
    }
}
