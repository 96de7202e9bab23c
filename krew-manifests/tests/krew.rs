//! Real krew, the official validator and kubectl on what `make dist` made.

use std::{
    collections::{BTreeSet, HashMap},
    env,
    error::Error,
    fs, io,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use dist::{
    archive::{self, Entry},
    plugin::Workspace,
    release::{self, Layout, Made},
};
use serde_json::Value;
use tempfile::TempDir;
use test_cluster::programs;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn made() -> Vec<Made> {
    Workspace::find(Path::new("."))
        .and_then(|workspace| release::find(&workspace.plugins, &Layout::of(&workspace)))
        .unwrap_or_else(|error| panic!("{}", error.report()))
}

fn built(program: test_cluster::Result<PathBuf>) -> PathBuf {
    program.unwrap_or_else(|error| panic!("{error}"))
}

/// A home in which nothing was ever installed. Commands run in it see kubectl, krew and what krew installs; nothing else is in their PATH.
struct Home {
    directory: TempDir,
    validator: PathBuf,
}

impl Home {
    fn fresh() -> Outcome<Self> {
        let home = Self {
            directory: tempfile::tempdir()?,
            validator: built(programs::validate_krew_manifest()),
        };
        for name in ["tools", "tmp", "manifests"] {
            fs::create_dir(home.path(name))?;
        }
        symlink(built(programs::kubectl()), home.path("tools/kubectl"))?;
        symlink(built(programs::krew()), home.path("tools/kubectl-krew"))?;
        Ok(home)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn command(&self, program: &Path) -> Outcome<Command> {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .env("TMPDIR", self.path("tmp"))
            .env("KREW_ROOT", self.path("krew"))
            .env("KREW_NO_UPGRADE_CHECK", "1")
            .env(
                "PATH",
                env::join_paths([self.path("krew/bin"), self.path("tools")])?,
            )
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        Ok(command)
    }

    fn kubectl(&self, arguments: &[&str]) -> Outcome<Said> {
        Ok(Said::of(
            self.command(&self.path("tools/kubectl"))?
                .args(arguments)
                .output()?,
        ))
    }

    fn install(&self, manifest: &Path, archive: &Path) -> Outcome<Said> {
        let file = |path: &Path| path.display().to_string();
        self.kubectl(&[
            "krew",
            "install",
            "--manifest",
            &file(manifest),
            "--archive",
            &file(archive),
        ])
    }

    fn validate(&self, manifest: &Path, flags: &[&str]) -> Outcome<Said> {
        Ok(Said::of(
            self.command(&self.validator)?
                .arg("-manifest")
                .arg(manifest)
                .args(flags)
                .output()?,
        ))
    }

    /// Adds an empty index: krew removes no plugin where there is none, not even one that came from a file.
    fn add_index(&self) -> Outcome {
        let git = |arguments: &[&str]| -> Outcome {
            let mut command = self.command(Path::new("git"))?;
            command
                .env("PATH", env::var_os("PATH").unwrap_or_default())
                .arg("-C")
                .arg(self.path("index"))
                .args(arguments);
            Said::of(command.output()?).succeeded();
            Ok(())
        };
        fs::create_dir(self.path("index"))?;
        git(&["init", "--quiet", "--initial-branch", "main"])?;
        let author = [
            "-c",
            "user.name=index",
            "-c",
            "user.email=index@example.org",
        ];
        git(&[
            &author[..],
            &[
                "commit",
                "--quiet",
                "--allow-empty",
                "--message",
                "an empty index",
            ],
        ]
        .concat())?;
        let mut add = self.command(&self.path("tools/kubectl-krew"))?;
        let path = self.path("index").display().to_string();
        let tools = env::var_os("PATH").unwrap_or_default();
        let with_git = env::split_paths(&tools).chain([self.path("krew/bin")]);
        Said::of(
            add.args(["index", "add", "default", &path])
                .env("PATH", env::join_paths(with_git)?)
                .output()?,
        )
        .succeeded();
        Ok(())
    }

    /// A copy of a manifest with something changed.
    fn altered(&self, made: &Made, change: impl FnOnce(&str) -> String) -> Outcome<PathBuf> {
        let original = fs::read_to_string(&made.manifest)?;
        let altered = change(&original);
        assert_ne!(
            original,
            altered,
            "the change does not change {}",
            made.manifest.display()
        );
        let path = self
            .path("manifests")
            .join(format!("{}.yaml", made.plugin.name));
        fs::write(&path, altered)?;
        Ok(path)
    }

    /// Every file and directory of the home, links not followed.
    fn listing(&self) -> io::Result<BTreeSet<PathBuf>> {
        let mut listing = BTreeSet::new();
        let mut unread = vec![self.directory.path().to_owned()];
        while let Some(directory) = unread.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    unread.push(entry.path());
                }
                listing.insert(entry.path());
            }
        }
        Ok(listing)
    }
}

/// What a command answered.
#[derive(Debug)]
struct Said {
    success: bool,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            success: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn succeeded(self) -> Self {
        assert!(self.success, "{self:#?}");
        self
    }

    fn refused(self, because: &str) {
        assert!(
            !self.success && self.stderr.contains(because),
            "not refused with {because:?}: {self:#?}"
        );
    }
}

/// The place that manifests name, on this machine: archives by the path of their address. It ends with the test.
struct Releases {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

const PUBLIC: &str = "https://github.com";

impl Releases {
    fn serve(archives: HashMap<String, Vec<u8>>) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if let Ok(path) = Self::answer(connection, &archives) {
                    heard
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push(path);
                }
            }
        });
        Ok(Self { address, asked })
    }

    fn answer(
        mut connection: TcpStream,
        archives: &HashMap<String, Vec<u8>>,
    ) -> io::Result<String> {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte)? == 1 {
            request.extend(byte);
        }
        let request = String::from_utf8_lossy(&request);
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let (status, body) = archives
            .get(&path)
            .map_or(("404 Not Found", &b""[..]), |archive| ("200 OK", archive));
        write!(
            connection,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )?;
        connection.write_all(body)?;
        Ok(path)
    }

    fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

/// The path of each archive that a manifest names, below [`PUBLIC`].
fn addresses(made: &Made) -> Outcome<Vec<String>> {
    let manifest: Value = serde_saphyr::from_str(&fs::read_to_string(&made.manifest)?)?;
    let platforms = manifest["spec"]["platforms"]
        .as_array()
        .ok_or("no platforms")?;
    let path = |platform: &Value| {
        platform["uri"]
            .as_str()?
            .strip_prefix(PUBLIC)
            .map(str::to_owned)
    };
    platforms
        .iter()
        .map(|platform| path(platform).ok_or_else(|| format!("not at {PUBLIC}: {platform}").into()))
        .collect()
}

#[test]
fn the_official_validator_finds_nothing_wrong() -> Outcome {
    let home = Home::fresh()?;
    for made in made() {
        let said = home
            .validate(&made.manifest, &["-skip-install"])?
            .succeeded();
        for passed in [
            "structural validation OK",
            "all spec.platform[] items are used",
            "no overlapping spec.platform[].selector",
        ] {
            assert!(said.stderr.contains(passed), "{said:#?}");
        }
    }
    Ok(())
}

/// The validator installs every platform from the address in the manifest, where nothing is before the release: the copy it is given
/// differs in nothing but the host, which is a server of this test.
#[test]
fn the_official_validator_installs_each_plugin_from_its_address() -> Outcome {
    let home = Home::fresh()?;
    let made = made();
    let mut archives = HashMap::new();
    for made in &made {
        for path in addresses(made)? {
            let name = path.rsplit('/').next().unwrap_or_default();
            let archive = fs::read(made.archive.with_file_name(name))?;
            archives.insert(path, archive);
        }
    }
    let releases = Releases::serve(archives)?;
    for made in &made {
        let manifest = home.altered(made, |text| {
            text.replace(
                &format!("uri: \"{PUBLIC}/"),
                &format!("uri: \"{}/", releases.address),
            )
        })?;
        let said = home.validate(&manifest, &[])?.succeeded();
        assert!(
            said.stderr.contains("spec.platforms installed fine"),
            "{said:#?}"
        );
    }
    let expected: Vec<_> = made
        .iter()
        .map(addresses)
        .collect::<Outcome<Vec<_>>>()?
        .concat();
    assert_eq!(releases.asked(), expected);
    Ok(())
}

#[test]
fn the_official_validator_refuses_an_archive_without_license() -> Outcome {
    let home = Home::fresh()?;
    for made in made() {
        let entry = Entry {
            name: &made.plugin.binary,
            executable: true,
            content: b"#!/bin/sh\n",
        };
        let archive = archive::pack(vec![entry])?;
        let (wrong, right) = (
            archive::checksum(&archive),
            archive::checksum(&fs::read(&made.archive)?),
        );
        let releases = Releases::serve(
            addresses(&made)?
                .into_iter()
                .map(|path| (path, archive.clone()))
                .collect(),
        )?;
        let manifest = home.altered(&made, |text| {
            text.replace(PUBLIC, &releases.address)
                .replace(&right, &wrong)
        })?;
        home.validate(&manifest, &[])?
            .refused("could not find license file among [");
    }
    Ok(())
}

#[test]
fn the_official_validator_refuses_a_bad_field() -> Outcome {
    let home = Home::fresh()?;
    for made in made() {
        let version = format!("version: \"v{}\"", made.plugin.version);
        let description = format!("shortDescription: {:?}", made.plugin.short_description);
        for (field, bad, because) in [
            (
                "kind: Plugin",
                "kind: Program",
                "only \"Plugin\" is supported",
            ),
            ("name: \"", "name: \"another-", "plugin should be named"),
            (
                version.as_str(),
                "version: \"latest\"",
                "failed to parse plugin version",
            ),
            (
                description.as_str(),
                "shortDescription: \"\"",
                "should have a short description",
            ),
            (
                "sha256: \"",
                "sha256: \"0",
                "is not valid, must match pattern",
            ),
            (
                "os: \"",
                "os: \"old-",
                "doesn't match any supported platforms",
            ),
            (
                "arch: \"",
                "processor: \"",
                "key \"processor\" not supported",
            ),
            ("bin: \"", "binary: \"", "`bin` has to be set"),
        ] {
            let manifest = home.altered(&made, |text| text.replacen(field, bad, 1))?;
            home.validate(&manifest, &["-skip-install"])?
                .refused(because);
        }
    }
    Ok(())
}

#[test]
fn krew_installs_each_plugin_kubectl_runs_it_and_nothing_is_left_of_it() -> Outcome {
    let home = Home::fresh()?;
    home.add_index()?;
    let before = home.listing()?;
    let made = made();

    for Made {
        plugin,
        archive,
        manifest,
    } in &made
    {
        let said = home.install(manifest, archive)?.succeeded();
        assert!(
            said.stderr
                .contains(&format!("Installed plugin: {}\n", plugin.name)),
            "{said:#?}"
        );
        let store = home
            .path("krew/store")
            .join(&plugin.name)
            .join(format!("v{}", plugin.version));
        assert!(
            store.join("LICENSE").is_file(),
            "no LICENSE in {}",
            store.display()
        );
        assert_eq!(
            fs::canonicalize(home.path("krew/bin").join(&plugin.binary))?,
            fs::canonicalize(store.join(&plugin.binary))?
        );
    }

    assert_ne!(home.listing()?, before);
    let names: Vec<&str> = made.iter().map(|made| made.plugin.name.as_str()).collect();
    let listed = home.kubectl(&["krew", "list"])?.succeeded();
    // What comes from a file belongs to no index; krew calls that detached.
    let listed: Vec<_> = listed
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("detached/"))
        .collect();
    assert_eq!(listed, names);

    let listed = home.kubectl(&["plugin", "list"])?.succeeded();
    assert_eq!(listed.stderr, "", "kubectl warns");
    for Made { plugin, .. } in &made {
        let path = home
            .path("krew/bin")
            .join(&plugin.binary)
            .display()
            .to_string();
        assert!(
            listed.stdout.lines().any(|line| line == path),
            "{path} is not in {}",
            listed.stdout
        );
    }

    for name in &names {
        let help = home.kubectl(&[name, "--help"])?.succeeded();
        assert!(
            help.stdout.contains(&format!("kubectl {name}")),
            "{help:#?}"
        );
        assert_eq!(help.stderr, "");
    }

    for name in &names {
        let said = home.kubectl(&["krew", "uninstall", name])?.succeeded();
        assert!(
            said.stderr
                .contains(&format!("Uninstalled plugin: {name}\n")),
            "{said:#?}"
        );
    }
    assert_eq!(home.listing()?, before);
    for name in &names {
        home.kubectl(&[name, "--help"])?
            .refused(&format!("unknown command \"{name}\""));
    }
    Ok(())
}

#[test]
fn krew_refuses_an_archive_with_a_changed_byte() -> Outcome {
    let home = Home::fresh()?;
    home.add_index()?;
    let before = home.listing()?;
    for Made {
        archive, manifest, ..
    } in made()
    {
        // The operating system that gzip names: what is in the archive stays as it was, only the checksum can tell.
        let mut bytes = fs::read(&archive)?;
        bytes[9] ^= 1;
        let changed = tempfile::NamedTempFile::new()?;
        fs::write(changed.path(), bytes)?;
        home.install(&manifest, changed.path())?
            .refused("checksum does not match");
    }
    assert_eq!(home.listing()?, before);
    Ok(())
}
