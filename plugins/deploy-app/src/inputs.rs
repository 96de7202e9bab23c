//! What is given with the command: variables, files and secrets, read and checked before anything else is done.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use commons::shell::shell;
use commons::{Error, Result, Ui, printable};
use secrecy::{ExposeSecret, SecretSlice};

use crate::link;

/// What a ConfigMap or a Secret may hold, keys and values together (the API server's limit).
const LIMIT: usize = 1024 * 1024;

/// Where the files of `--config` are, unless a place is named.
pub const CONFIG_DIRECTORY: &str = "/config";

/// `K=V` sets, `K-` takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `K=V`
    Set(String, String),
    /// `K-`
    Unset(String),
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Ok(Self::Set(variable_name(name)?, value.to_owned())),
            None => match text.strip_suffix('-') {
                Some(name) => Ok(Self::Unset(variable_name(name)?)),
                None => Err(format!(
                    "write `{0}=VALUE` to set it, `{0}-` to remove it",
                    printable::short(text, 60)
                )),
            },
        }
    }
}

/// A secret, and where its value comes from; never from the command line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretInput {
    /// `K`: asked on the terminal.
    Ask(String),
    /// `K=@FILE`
    File(String, String),
    /// `K=-`: standard input.
    Stdin(String),
    /// `K-`: taken away.
    Unset(String),
    /// `K=VALUE`, which is refused.
    Literal(String),
    /// No name of a variable, of which is kept what stands before anything that may be a value: refused too.
    Misnamed(Option<String>),
}

impl FromStr for SecretInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Never an error: clap would repeat all of the text in its message, a value in it too.
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.strip_suffix('-').unwrap_or(text), None),
        };
        let Ok(name) = variable_name(name) else {
            let start = text.split_once([':', '=', ' ']).map(|(start, _)| start);
            return Ok(Self::Misnamed(
                start.map(|start| printable::short(start, 60)),
            ));
        };
        Ok(match value {
            None if text.ends_with('-') => Self::Unset(name),
            None => Self::Ask(name),
            Some("-") => Self::Stdin(name),
            Some(value) => match value.strip_prefix('@') {
                Some(file) if !file.is_empty() => Self::File(name, file.to_owned()),
                _ => Self::Literal(name),
            },
        })
    }
}

/// `FILE`, `FILE:PATH`, or `FILE-` to take it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigInput {
    /// A file, and where the app finds it (below `/config` if nothing is said).
    File { file: String, path: Option<String> },
    /// The file of this name is taken away.
    Unset(String),
}

impl FromStr for ConfigInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the name of a file is missing".into());
        }
        if let Some(name) = text.strip_suffix('-')
            && !Path::new(text).exists()
        {
            return Ok(Self::Unset(file_name(name)?));
        }
        match text.rsplit_once(':') {
            Some((file, path))
                if !path.starts_with('/')
                    && !Path::new(text).exists()
                    && Path::new(file).exists() =>
            {
                Err(format!(
                    "the place in the container begins with `/`: `{file}:/{path}`"
                ))
            }
            Some((file, path)) if is_directory(path, file) => Err(format!(
                "`{path}` is a directory; name the file in it: `{file}:{path}/{}`",
                file_name(file)?
            )),
            Some((file, path)) if path.starts_with('/') => {
                let inside = path.trim_end_matches('/');
                if inside.is_empty() || path.split('/').any(|part| part == "..") {
                    return Err(
                        "name the file's whole path in the container: `FILE:/etc/app/FILE`".into(),
                    );
                }
                let path = if path.ends_with('/') {
                    format!("{inside}/{}", file_name(file)?)
                } else {
                    path.to_owned()
                };
                Ok(Self::File {
                    file: file.to_owned(),
                    path: Some(path),
                })
            }
            _ => Ok(Self::File {
                file: text.to_owned(),
                path: None,
            }),
        }
    }
}

/// Whether a path in a container is surely that of a directory, such as `/etc`: files at the root have an extension, or this one's
/// name.
fn is_directory(path: &str, file: &str) -> bool {
    let is_file = |name: &str| name.contains('.') || Path::new(file).ends_with(name);
    path.strip_prefix('/')
        .is_some_and(|name| !name.is_empty() && !name.contains('/') && !is_file(name))
}

/// The last part of a path, which becomes a key.
fn file_name(path: &str) -> Result<String, String> {
    let name = Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{}` cannot be a file's name in a ConfigMap (letters, digits, `-`, `_` and `.`)",
            printable::short(name, 80)
        ))
    }
}

/// What a shell can read as a variable; Kubernetes allows more, programs do not.
fn variable_name(name: &str) -> Result<String, String> {
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if fits {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{}` cannot be the name of a variable (letters, digits and `_`, no digit first)",
            printable::short(name, 60)
        ))
    }
}

/// A value that is never printed.
#[derive(Clone, Debug)]
pub struct Hidden(SecretSlice<u8>);

impl Hidden {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// A file for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub content: Vec<u8>,
    /// Where it is in the container; below [`CONFIG_DIRECTORY`] if nothing is said.
    pub path: Option<String>,
}

/// All that was given, read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub env: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Hidden>,
    pub files: BTreeMap<String, ConfigFile>,
    pub unset_env: BTreeSet<String>,
    pub unset_secrets: BTreeSet<String>,
    pub unset_files: BTreeSet<String>,
}

/// The flags by which an app gets its configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InputFlags {
    /// Set a variable (`K-` removes it); may be repeated
    #[arg(long, value_name = "K=V", help_heading = "Configuration")]
    pub env: Vec<Variable>,
    /// Set the variables of this file, one `K=V` a line
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub env_file: Vec<String>,
    /// Give the app this file, below /config or at PATH (`FILE-` removes it)
    #[arg(long, value_name = "FILE[:PATH]", help_heading = "Configuration")]
    pub config: Vec<ConfigInput>,
    /// Set a secret variable: asked for, or from a file, or from standard input with `K=-` (`K-` removes it)
    #[arg(long, value_name = "K[=@FILE]", help_heading = "Configuration")]
    pub secret: Vec<SecretInput>,
    /// As --env-file, for secret variables
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub secret_file: Vec<String>,
}

impl InputFlags {
    /// Reads the files, standard input and, last, what the user types.
    ///
    /// # Errors
    /// A file that cannot be read or is too large, a line that is no variable, a secret on the command line, a name that
    /// stands twice.
    pub fn read(&self, ui: &Ui) -> Result<Inputs> {
        let mut inputs = Inputs::default();
        if let Some(SecretInput::Literal(name)) = self
            .secret
            .iter()
            .find(|input| matches!(input, SecretInput::Literal(_)))
        {
            return Err(Error::usage(format!("the value of secret `{name}` must not stand in the command"))
                .caused_by("other users of this machine can read it there, and it stays in the shell's history")
                .hint(format!("be asked for it: `{}`", shell("--secret").arg(name)))
                .hint(format!(
                    "or from a file: `{}`; or from standard input: `{}`",
                    shell("--secret").arg(format!("{name}=@FILE")),
                    shell("--secret").arg(format!("{name}=-"))
                )));
        }
        if let Some(SecretInput::Misnamed(start)) = self
            .secret
            .iter()
            .find(|input| matches!(input, SecretInput::Misnamed(_)))
        {
            let what = start
                .as_ref()
                .map_or("what stands".to_owned(), |start| format!("`{start}...`"));
            return Err(Error::usage(format!(
                "{what} after `--secret` does not begin with the name of a variable"
            ))
            .caused_by("such a name has letters, digits and `_`, and no digit first")
            .hint("be asked for the value: `--secret NAME`")
            .hint("or from a file: `--secret NAME=@FILE`"));
        }
        self.warn_of_links(ui);
        for file in &self.env_file {
            inputs.env.extend(read_env_file(file)?);
        }
        for variable in &self.env {
            match variable {
                Variable::Set(name, value) => {
                    inputs.env.insert(name.clone(), value.clone());
                }
                Variable::Unset(name) => {
                    inputs.unset_env.insert(name.clone());
                }
            }
        }
        for config in &self.config {
            read_config(config, &mut inputs)?;
        }
        for file in &self.secret_file {
            inputs.secrets.extend(
                read_env_file(file)?
                    .into_iter()
                    .map(|(name, value)| (name, Hidden::new(value.into_bytes()))),
            );
        }
        self.read_secrets(ui, &mut inputs)?;
        refuse_both(&inputs)?;
        Ok(inputs)
    }

    /// What is uploaded may be another file than it seems.
    fn warn_of_links(&self, ui: &Ui) {
        let config = self.config.iter().filter_map(|config| match config {
            ConfigInput::File { file, .. } => Some(file),
            ConfigInput::Unset(_) => None,
        });
        let secrets = self.secret.iter().filter_map(|input| match input {
            SecretInput::File(_, file) => Some(file),
            _ => None,
        });
        let files = self.env_file.iter().chain(&self.secret_file);
        for file in files.chain(config).chain(secrets) {
            link::warn(ui, Path::new(file));
        }
    }

    fn read_secrets(&self, ui: &Ui, inputs: &mut Inputs) -> Result<()> {
        let from_stdin = self
            .secret
            .iter()
            .filter(|input| matches!(input, SecretInput::Stdin(_)))
            .count();
        if from_stdin > 1 {
            return Err(Error::usage("only one secret can come from standard input")
                .hint("put the others into files: `--secret K=@FILE`"));
        }
        for input in &self.secret {
            let (name, value) = match input {
                SecretInput::Unset(name) => {
                    inputs.unset_secrets.insert(name.clone());
                    continue;
                }
                // Refused before.
                SecretInput::Literal(_) | SecretInput::Misnamed(_) => continue,
                SecretInput::File(name, file) => (name, without_line_end(read_file(file)?)),
                SecretInput::Stdin(name) => {
                    let mut bytes = Vec::new();
                    std::io::stdin()
                        .lock()
                        .take(LIMIT as u64 + 1)
                        .read_to_end(&mut bytes)
                        .map_err(|error| {
                            Error::new("cannot read standard input").caused_by(error.to_string())
                        })?;
                    (name, without_line_end(bytes))
                }
                SecretInput::Ask(name) => (
                    name,
                    ui.secret(
                        name,
                        &format!(
                            "give its value by a file or standard input: `{}`, `{}`",
                            shell("--secret").arg(format!("{name}=@FILE")),
                            shell("--secret").arg(format!("{name}=-"))
                        ),
                    )?
                    .expose_secret()
                    .as_bytes()
                    .to_vec(),
                ),
            };
            if value.is_empty() {
                return Err(Error::usage(format!(
                    "the value of secret `{name}` is empty"
                )));
            }
            if std::str::from_utf8(&value).is_err() || value.contains(&0) {
                return Err(
                    Error::usage(format!("the value of secret `{name}` is not UTF-8"))
                        .caused_by("it becomes an environment variable, which holds text only")
                        .hint("encode it: `base64 -w0 FILE > FILE.b64`"),
                );
            }
            inputs.secrets.insert(name.clone(), Hidden::new(value));
        }
        Ok(())
    }
}

/// One value cannot be both open and secret, and nothing both set and removed.
fn refuse_both(inputs: &Inputs) -> Result<()> {
    if let Some(name) = inputs
        .env
        .keys()
        .find(|name| inputs.secrets.contains_key(*name))
    {
        return Err(
            Error::usage(format!("`{name}` is given as a variable and as a secret"))
                .hint("keep the secret one"),
        );
    }
    let twice = inputs
        .env
        .keys()
        .find(|name| inputs.unset_env.contains(*name))
        .or_else(|| {
            inputs
                .secrets
                .keys()
                .find(|name| inputs.unset_secrets.contains(*name))
        })
        .or_else(|| {
            inputs
                .files
                .keys()
                .find(|name| inputs.unset_files.contains(*name))
        });
    if let Some(name) = twice {
        return Err(Error::usage(format!("`{name}` is set and removed at once")));
    }
    let size: usize = inputs
        .files
        .iter()
        .map(|(name, file)| name.len() + file.content.len())
        .sum();
    if size > LIMIT {
        return Err(
            Error::usage("the files of `--config` are larger than 1 MiB together")
                .caused_by("a ConfigMap holds no more")
                .hint("put them into the image"),
        );
    }
    Ok(())
}

fn read_config(config: &ConfigInput, inputs: &mut Inputs) -> Result<()> {
    match config {
        ConfigInput::Unset(name) => {
            inputs.unset_files.insert(name.clone());
        }
        ConfigInput::File { file, path } => {
            if Path::new(file).is_dir() {
                return Err(Error::usage(format!(
                    "`{}` is a directory",
                    printable::short(file, 200)
                ))
                .hint("give its files one by one: `--config FILE --config FILE`"));
            }
            let name = file_name(file).map_err(Error::usage)?;
            let content = read_file(file)?;
            let read = ConfigFile {
                content,
                path: path.clone(),
            };
            if inputs.files.insert(name.clone(), read).is_some() {
                return Err(Error::usage(format!("two files are called `{name}`"))
                    .hint("rename one of them"));
            }
        }
    }
    Ok(())
}

fn read_file(file: &str) -> Result<Vec<u8>> {
    let shown = printable::short(file, 200);
    let failed = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".into(),
            std::io::ErrorKind::IsADirectory => "it is a directory".into(),
            _ => error.to_string(),
        };
        Error::usage(format!("cannot read `{shown}`")).caused_by(why)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .map_err(failed)?
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > LIMIT {
        return Err(Error::usage(format!("`{shown}` is larger than 1 MiB"))
            .caused_by("a ConfigMap or Secret holds no more"));
    }
    Ok(bytes)
}

/// The line break that editors and `echo` put after a password is not part of it.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte == b'\n');
    if first.is_some_and(|first| first + 1 == bytes.len()) {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

fn read_env_file(file: &str) -> Result<BTreeMap<String, String>> {
    let shown = printable::short(file, 200);
    let text = String::from_utf8(read_file(file)?)
        .map_err(|_| Error::usage(format!("`{shown}` is not UTF-8")))?;
    parse_env_file(&text).map_err(|(line, why)| {
        Error::usage(format!("line {line} of `{shown}` is no variable")).caused_by(why)
    })
}

/// `K=V` lines as people keep them: comments, blank lines, `export`, and quotes around a value are understood.
fn parse_env_file(text: &str) -> Result<BTreeMap<String, String>, (usize, String)> {
    let mut variables = BTreeMap::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (position, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let wrong = |why: String| (position + 1, why);
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("write `NAME=VALUE`".into()));
        };
        // The line may be a secret: it is not repeated.
        let name = variable_name(name.trim()).map_err(|_| {
            wrong("its name has other characters than letters, digits and `_`".into())
        })?;
        variables.insert(name, unquoted(value.trim()).to_owned());
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if value.len() >= 2
            && let Some(inner) = value
                .strip_prefix(quote)
                .and_then(|value| value.strip_suffix(quote))
        {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests;
