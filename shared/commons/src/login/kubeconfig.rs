//! Kubeconfig files, read and merged as kubectl does (client-go's `tools/clientcmd`, as of v0.35).
//!
//! Files are kept as plain documents, and an entry is looked into only when it is used: an odd entry of another cluster, which
//! nobody uses, makes no file useless. In an entry, a field that is empty or `null` is as good as absent.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::hints;
use crate::error::{Error, Result};
use crate::printable;

/// kubectl truncates a kubeconfig and then writes it; who reads in between sees a part of it.
const HALF_WRITTEN: Duration = Duration::from_secs(2);

/// The kubeconfig files that exist, in order of precedence.
#[derive(Clone, Default)]
pub(super) struct Kubeconfig {
    files: Vec<File>,
}

#[derive(Clone)]
struct File {
    path: PathBuf,
    document: Value,
}

/// The three kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cluster,
    Context,
    User,
}

impl Kind {
    /// The list's key, the key in an item of it, which is also what people call it.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster => ("clusters", "cluster"),
            Self::Context => ("contexts", "context"),
            Self::User => ("users", "user"),
        }
    }
}

/// An entry of a kubeconfig, or a map in one.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    fields: Option<&'a Map<String, Value>>,
    /// What it is called in messages.
    title: String,
    /// The file that it stands in.
    pub(super) file: &'a Path,
}

impl Kubeconfig {
    /// Reads `explicit`, which must exist, or the files of `KUBECONFIG` that do, or `~/.kube/config`.
    pub(super) fn read(explicit: Option<&str>) -> Result<Self> {
        if let Some(path) = explicit {
            let path = Path::new(path);
            fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            return Ok(Self {
                files: File::read(path)?.into_iter().collect(),
            });
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        match std::env::var_os("KUBECONFIG") {
            Some(named) if !named.is_empty() => {
                for path in std::env::split_paths(&named) {
                    if !path.as_os_str().is_empty() && !paths.contains(&path) {
                        paths.push(path);
                    }
                }
            }
            _ => paths.extend(std::env::home_dir().map(|home| home.join(".kube/config"))),
        }
        let files: Result<Vec<Option<File>>> = paths.iter().map(|path| File::read(path)).collect();
        Ok(Self {
            files: files?.into_iter().flatten().collect(),
        })
    }

    /// Whether it says nothing: `kubectl config view` prints an empty one for none.
    pub(super) fn is_empty(&self) -> bool {
        let says = |file: &File, list| matches!(&file.document[list], Value::Array(items) if !items.is_empty());
        self.current_context().is_none()
            && !self
                .files
                .iter()
                .any(|file| says(file, "clusters") || says(file, "contexts"))
    }

    /// The current context of the first file that has one.
    pub(super) fn current_context(&self) -> Option<&str> {
        self.files
            .iter()
            .filter_map(|file| file.document["current-context"].as_str())
            .find(|name| !name.is_empty())
    }

    /// The names of all entries of a kind.
    pub(super) fn names(&self, kind: Kind) -> Vec<&str> {
        let (list, _) = kind.keys();
        let items = self
            .files
            .iter()
            .filter_map(|file| file.document[list].as_array());
        items
            .flatten()
            .filter_map(name_of)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// An entry, from the first file that has one of that name.
    pub(super) fn entry(&self, kind: Kind, name: &str) -> Result<Option<Entry<'_>>> {
        let (list, key) = kind.keys();
        for file in &self.files {
            let items = file.document[list].as_array().into_iter().flatten();
            let mut named = items.filter(|item| item.is_object() && name_of(item) == Some(name));
            let Some(item) = named.next() else { continue };
            let title = format!("{key} `{}`", printable::short(name, 80));
            if named.next().is_some() {
                let path = printable::short(&file.path.display().to_string(), 200);
                return Err(Error::new(format!("the kubeconfig has {title} twice"))
                    .caused_by(format!("two entries of {path} have this name"))
                    .hint("delete one of them"));
            }
            let fields = item[key].as_object();
            if fields.is_none() && !item[key].is_null() {
                return Err(wrong(&title, "", "a map"));
            }
            return Ok(Some(Entry {
                fields,
                title,
                file: &file.path,
            }));
        }
        Ok(None)
    }
}

impl File {
    /// Reads a file; `None` if it does not exist.
    fn read(path: &Path) -> Result<Option<Self>> {
        let mut attempts = 0;
        loop {
            let bytes = match fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unreadable(path, &error)),
            };
            let outcome = text(&bytes).and_then(|text| document(&text));
            let unusable = !matches!(&outcome, Ok(Value::Object(_)));
            if unusable && attempts < 10 && is_being_written(path) {
                attempts += 1;
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let document = outcome.map_err(|why| no_kubeconfig(path, &why))?;
            return Ok(Some(Self {
                path: path.to_owned(),
                document: checked(document).map_err(|why| no_kubeconfig(path, &why))?,
            }));
        }
    }
}

/// The text of a file in UTF-8 or, as Windows writes it, UTF-16 with a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..]
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        all => std::str::from_utf8(all).ok().map(str::to_owned),
    };
    text.ok_or_else(|| "it is not text".to_owned())
}

/// The first document of a YAML or JSON text, read as kubectl reads it: of a key given twice, the later one counts. The error
/// tells the place only: a line of a kubeconfig may hold a token.
pub(super) fn document(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        ignore_binary_tag_for_string: true,
        legacy_octal_numbers: true,
    };
    // What follows a JSON object is not looked at.
    if text.trim_start().starts_with('{')
        && let Some(Ok(object)) = serde_json::Deserializer::from_str(text).into_iter().next()
    {
        return Ok(object);
    }
    let mut bytes = text.as_bytes();
    let first = serde_saphyr::read_with_options(&mut bytes, options).next();
    first
        .transpose()
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            error.location().map_or_else(
                || "it is not YAML".to_owned(),
                |at| {
                    format!(
                        "it cannot be read at line {}, column {}",
                        at.line(),
                        at.column()
                    )
                },
            )
        })
}

/// A document that can be a kubeconfig, as far as one can tell without looking into its entries.
fn checked(document: Value) -> Result<Value, String> {
    if document.is_null() {
        return Ok(document);
    }
    if !document.is_object() {
        return Err("it is not a map".to_owned());
    }
    for (key, wanted) in [("kind", "Config"), ("apiVersion", "v1")] {
        match document[key].as_str().unwrap_or_default() {
            "" => {}
            found if found.eq_ignore_ascii_case(wanted) => {}
            found => {
                let found = printable::short(found, 60);
                return Err(format!("its `{key}` is `{found}`, not `{wanted}`"));
            }
        }
    }
    for list in ["clusters", "contexts", "users"] {
        if !document[list].is_null() && !document[list].is_array() {
            return Err(format!("its `{list}` is not a list"));
        }
    }
    Ok(document)
}

fn is_being_written(path: &Path) -> bool {
    let lately = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age < HALF_WRITTEN);
    super::store::lock_of(path).exists()
        || fs::metadata(path)
            .and_then(|about| about.modified())
            .is_ok_and(lately)
}

/// An item's name, empty where it has none; `None` where it is not a text.
fn name_of(item: &Value) -> Option<&str> {
    match &item["name"] {
        Value::Null => Some(""),
        name => name.as_str(),
    }
}

impl<'a> Entry<'a> {
    fn field(&self, key: &str) -> Option<&'a Value> {
        self.fields?.get(key).filter(|value| !value.is_null())
    }

    /// The error for a field that is not what it should be.
    fn wrong(&self, key: &str, wanted: &str) -> Error {
        wrong(&self.title, key, wanted)
    }

    /// A text; `None` if it is empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.field(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(key, "text (in quotes)")),
        }
    }

    /// A file's path, made absolute: a relative one starts at the kubeconfig's folder.
    pub(super) fn path(&self, key: &str) -> Result<Option<PathBuf>> {
        Ok(self.text(key)?.map(|path| self.beside(&path)))
    }

    /// A path as seen from the kubeconfig, absolute.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Base64, over several lines or one.
    pub(super) fn data(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let decoded = |text: &[u8]| {
            let text: Vec<u8> = text
                .iter()
                .copied()
                .filter(|c| !matches!(c, b'\n' | b'\r'))
                .collect();
            STANDARD.decode(text).ok()
        };
        let data = decoded(text.as_bytes()).ok_or_else(|| self.wrong(key, "base64"))?;
        // YAML's `!!binary` around base64 is one layer more.
        let inner = decoded(&data).filter(|inner| inner.starts_with(b"-----BEGIN"));
        Ok(Some(inner.unwrap_or(data)))
    }

    /// A yes or no; no where it is absent.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.field(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key, "`true` or `false`")),
        }
    }

    /// The items of a list; none where it is absent.
    fn items(&self, key: &str) -> Result<&'a [Value]> {
        match self.field(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(key, "a list")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let items = self.items(key)?.iter();
        items
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Null => Ok(String::new()),
                _ => Err(self.wrong(key, "a list of texts (in quotes)")),
            })
            .collect()
    }

    /// A list of maps; items that are `null` count as empty ones.
    pub(super) fn maps(&self, key: &str) -> Result<Vec<Entry<'a>>> {
        let items = self.items(key)?.iter();
        items
            .map(|item| match item {
                Value::Null => Ok(self.part(key, None)),
                Value::Object(fields) => Ok(self.part(key, Some(fields))),
                _ => Err(self.wrong(key, "a list of maps")),
            })
            .collect()
    }

    /// A map below this one.
    pub(super) fn map(&self, key: &str) -> Result<Option<Entry<'a>>> {
        match self.field(key) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(self.part(key, Some(fields)))),
            Some(_) => Err(self.wrong(key, "a map")),
        }
    }

    fn part(&self, key: &str, fields: Option<&'a Map<String, Value>>) -> Entry<'a> {
        Entry {
            fields,
            title: format!("{}, `{key}`", self.title),
            file: self.file,
        }
    }

    /// The keys that it has.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.fields
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
    }

    /// Whatever stands under a key.
    pub(super) fn any(&self, key: &str) -> Option<&'a Value> {
        self.field(key)
    }
}

fn wrong(title: &str, key: &str, wanted: &str) -> Error {
    let what = if key.is_empty() {
        String::new()
    } else {
        format!("`{key}` of ")
    };
    Error::new(format!("{what}{title} in the kubeconfig is not {wanted}")).hint(hints::VIEW)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = printable::short(&path.display().to_string(), 200);
    Error::new(format!("cannot read the kubeconfig {path}"))
        .caused_by(error.to_string())
        .hint("name another one with `--kubeconfig FILE` or KUBECONFIG")
}

fn no_kubeconfig(path: &Path, why: &str) -> Error {
    let path = printable::short(&path.display().to_string(), 200);
    Error::new(format!("{path} is not a kubeconfig"))
        .caused_by(why)
        .hint(hints::RENEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(texts: &[&str]) -> Kubeconfig {
        let files = texts.iter().enumerate().map(|(at, text)| File {
            path: PathBuf::from(format!("/dir{at}/config")),
            document: checked(document(text).expect("YAML")).expect("a kubeconfig"),
        });
        Kubeconfig {
            files: files.collect(),
        }
    }

    #[test]
    fn the_first_file_with_a_current_context_names_it() {
        let empty = "current-context: \"\"\nclusters: null";
        let full = "current-context: b";
        assert_eq!(kubeconfig(&[empty, full]).current_context(), Some("b"));
        assert_eq!(
            kubeconfig(&["", "# nothing", full]).current_context(),
            Some("b")
        );
        assert!(kubeconfig(&[empty, ""]).is_empty());
        assert!(!kubeconfig(&[full]).is_empty());
    }

    #[test]
    fn the_first_entry_of_a_name_counts_whole() {
        let first = "users: [{name: a, user: {token: one}}]";
        let second =
            "users: [{name: a, user: {token: two, username: u}}, {name: b, user: {tokenFile: t}}]";
        let both = kubeconfig(&[first, second]);
        let a = both
            .entry(Kind::User, "a")
            .expect("readable")
            .expect("an entry");
        assert_eq!(a.text("token").expect("a text").as_deref(), Some("one"));
        assert_eq!(a.text("username").expect("a text"), None);
        let b = both
            .entry(Kind::User, "b")
            .expect("readable")
            .expect("an entry");
        let file = b.path("tokenFile").expect("a path");
        assert_eq!(file.as_deref(), Some(Path::new("/dir1/t")));
        assert!(both.entry(Kind::User, "c").expect("readable").is_none());
    }

    #[test]
    fn entries_that_nobody_uses_may_be_odd() {
        let odd = kubeconfig(&["
clusters: [{name: good, cluster: {server: s}}, {name: bad, cluster: 7}, {cluster: {server: x}}, null, 5, {name: twice}, {name: twice}]
contexts: [{name: old, context: {user: u}}, {name: k, context: {cluster: a, cluster: b}}]
users: [{user: {token: x}}]"]);
        assert!(
            odd.entry(Kind::Cluster, "good")
                .is_ok_and(|entry| entry.is_some())
        );
        assert!(odd.entry(Kind::Cluster, "bad").is_err());
        assert!(odd.entry(Kind::Cluster, "twice").is_err());
        let context = odd
            .entry(Kind::Context, "k")
            .expect("readable")
            .expect("an entry");
        assert_eq!(
            context.text("cluster").expect("a text").as_deref(),
            Some("b")
        );
    }

    #[test]
    fn empty_and_null_are_absent() {
        let config = kubeconfig(&[
            "users: [{name: a, user: {token: '', tokenFile: null, as-groups: null, exec: null, x: 7}}, {name: nobody, user: null}]",
        ]);
        let a = config
            .entry(Kind::User, "a")
            .expect("readable")
            .expect("an entry");
        assert_eq!(a.text("token").expect("a text"), None);
        assert_eq!(a.path("tokenFile").expect("a path"), None);
        assert!(a.texts("as-groups").expect("a list").is_empty());
        assert!(a.map("exec").expect("a map").is_none());
        assert!(a.text("x").is_err());
        let n = config
            .entry(Kind::User, "nobody")
            .expect("readable")
            .expect("an entry");
        assert_eq!(n.text("token").expect("a text"), None);
    }

    #[test]
    fn base64_may_have_line_breaks() {
        for data in [
            "|\n      aGVs\n      bG8=\n",
            "!!binary |\n      aGVs\n      bG8=\n",
            "aGVsbG8=",
            "\"aGVs\\r\\nbG8=\"",
        ] {
            let text = format!("users:\n- name: a\n  user:\n    client-key-data: {data}");
            let config = kubeconfig(&[&text]);
            let a = config
                .entry(Kind::User, "a")
                .expect("readable")
                .expect("an entry");
            assert_eq!(
                a.data("client-key-data").expect(data).as_deref(),
                Some(&b"hello"[..])
            );
        }
    }

    #[test]
    fn encodings() {
        let wanted = "kind: Config";
        let le: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(wanted.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let be: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(wanted.encode_utf16())
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in [
            le,
            be,
            wanted.into(),
            format!("\u{feff}{wanted}").into_bytes(),
        ] {
            assert_eq!(text(&bytes).as_deref(), Ok(wanted));
        }
        assert!(text(b"\xffx").is_err());
    }

    #[test]
    fn what_is_no_kubeconfig() {
        for text in [
            "s3cr3t",
            "kind: Deployment",
            "apiVersion: v2",
            "users: s3cr3t",
            "[]",
        ] {
            assert!(checked(document(text).expect("YAML")).is_err(), "{text}");
        }
        let why = document("users:\n- name: a\n  user: {token: s3cr3t: [\n").expect_err("no YAML");
        assert!(why.contains("line 3") && !why.contains("s3cr3t"), "{why}");
    }
}
