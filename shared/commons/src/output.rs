//! Results in the forms that kubectl's users know: tables, `-o wide`, `json`, `yaml` and `name`.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::printable;
use crate::ui::Ui;

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// More columns.
    Wide,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// `resource/name`, to be given to kubectl.
    Name,
}

/// The flag `-o`, the same everywhere.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct OutputFlags {
    /// Output format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// The flags of `list`, the same everywhere.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ListFlags {
    /// In all namespaces (needs rights that few people have)
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// `-o`.
    #[command(flatten)]
    pub output: OutputFlags,
}

impl ListFlags {
    /// The namespace to list; nothing for all.
    pub fn namespace<'a>(&self, cluster: &'a Cluster) -> Option<&'a str> {
        (!self.all_namespaces).then(|| cluster.namespace())
    }
}

/// Rows in kubectl's look: upper-case headers, three spaces, no borders, `<none>` for what is empty.
#[derive(Clone, Debug)]
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows yet.
    pub fn new(headers: &[&'static str]) -> Self {
        Self {
            headers: headers.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell a header.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|cell| {
                    if cell.is_empty() {
                        "<none>".into()
                    } else {
                        printable::line(&cell).into_owned()
                    }
                })
                .collect(),
        );
    }

    /// The whole table, without a line break at its end.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.width())
                    .chain([self.headers[column].len()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let line = |cells: Vec<&str>| {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())))
                .collect();
            padded.join("   ").trim_end().to_owned()
        };
        let mut lines = vec![line(self.headers.clone())];
        lines.extend(
            self.rows
                .iter()
                .map(|row| line(row.iter().map(String::as_str).collect())),
        );
        lines.join("\n")
    }
}

/// Something a command lists or reports, in every form.
pub trait Listed: Serialize {
    /// The `kind` of one in JSON and YAML.
    const KIND: &'static str;
    /// Headers of the table.
    const HEADERS: &'static [&'static str];
    /// Those that `-o wide` adds.
    const WIDE: &'static [&'static str];
    /// Where it is; the first column with `-A`.
    fn namespace(&self) -> &str;
    /// A cell for each of the headers, and then for each that `-o wide` adds.
    fn cells(&self) -> Vec<String>;
    /// `resource/name`.
    fn name(&self) -> String;
}

/// The `apiVersion` of what the plugins print themselves.
pub const API_VERSION: &str = "kube-commons/v1alpha1";

#[derive(Serialize)]
struct Single<'a, T> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    item: &'a T,
}

/// Prints a list; `empty` is said on standard error where a table would have no rows.
///
/// # Errors
/// When it cannot be written.
pub fn list<T: Listed>(ui: &Ui, format: Option<Format>, items: &[T], empty: &str) -> Result<()> {
    let flags = ListFlags {
        all_namespaces: false,
        output: OutputFlags { output: format },
    };
    list_of(ui, flags, items, empty)
}

/// As [`list`], of several namespaces or one.
///
/// # Errors
/// When it cannot be written.
pub fn list_of<T: Listed>(ui: &Ui, flags: ListFlags, items: &[T], empty: &str) -> Result<()> {
    let format = flags.output.output;
    match format {
        Some(Format::Json | Format::Yaml) => {
            let items: Vec<_> = items.iter().map(single).collect();
            document(
                ui,
                format,
                &serde_json::json!({"apiVersion": API_VERSION, "kind": format!("{}List", T::KIND), "items": items}),
            )
        }
        Some(Format::Name) => items.iter().try_for_each(|item| ui.result(item.name())),
        None | Some(Format::Wide) if items.is_empty() => {
            ui.status(empty);
            Ok(())
        }
        None | Some(Format::Wide) => {
            let namespace = flags.all_namespaces;
            let mut headers = T::HEADERS.to_vec();
            if format.is_some() {
                headers.extend(T::WIDE);
            }
            let shown = headers.len();
            if namespace {
                headers.insert(0, "NAMESPACE");
            }
            let mut table = Table::new(&headers);
            for item in items {
                let place = namespace.then(|| item.namespace().to_owned());
                table.row(
                    place
                        .into_iter()
                        .chain(item.cells().into_iter().take(shown)),
                );
            }
            ui.result(table.render())
        }
    }
}

/// Wraps one item for JSON and YAML.
pub fn single<T: Listed>(item: &T) -> impl Serialize + use<'_, T> {
    Single {
        api_version: API_VERSION,
        kind: T::KIND,
        item,
    }
}

/// Prints one value as JSON or, for every other format, YAML.
///
/// # Errors
/// When it cannot be written.
pub fn document<T: Serialize>(ui: &Ui, format: Option<Format>, value: &T) -> Result<()> {
    let text = if format == Some(Format::Json) {
        serde_json::to_string_pretty(value)
            .map_err(|error| Error::new("cannot write JSON").caused_by(error.to_string()))?
    } else {
        // Through JSON, so that fields keep one order and one spelling in both.
        let value = serde_json::to_value(value)
            .map_err(|error| Error::new("cannot write YAML").caused_by(error.to_string()))?;
        serde_saphyr::to_string(&value)
            .map_err(|error| Error::new("cannot write YAML").caused_by(error.to_string()))?
            .trim_end()
            .to_owned()
    };
    ui.result(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_as_kubectls() {
        let mut table = Table::new(&["DATABASE", "WITH", "LEFT"]);
        table.row(["pg".into(), "bob".into(), "7h59m".into()]);
        table.row([
            "a-longer-name".into(),
            String::new(),
            "9s\u{1b}[31m\nforged".into(),
        ]);
        assert_eq!(
            table.render(),
            "DATABASE        WITH     LEFT\npg              bob      7h59m\na-longer-name   <none>   9s[31m forged"
        );
    }
}
