//! How the file itself is written: encodings, line ends, JSON, and what YAML has.

use crate::parity::attempt::Attempt;
use crate::parity::ground::base64;
use crate::parity::variant::Exception::Readable;
use crate::parity::variant::{Variant, kinder, refused, works};

const CASE: &str = "encoding";
const YAML: &str = "YAML";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = encodings();
    all.extend(yaml());
    all
}

fn encodings() -> Vec<Variant> {
    vec![
        works(CASE, "UTF-8 with a mark", |a| {
            written(a, |text| format!("\u{feff}{text}").into_bytes())
        }),
        works(CASE, "UTF-16LE with a mark, as PowerShell writes it", |a| {
            written(a, |text| {
                utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)
            })
        }),
        works(CASE, "UTF-16BE with a mark", |a| {
            written(a, |text| {
                utf16(&format!("\u{feff}{text}"), u16::to_be_bytes)
            })
        }),
        works(CASE, "UTF-16LE with a mark and CRLF", |a| {
            written(a, |text| {
                utf16(
                    &format!("\u{feff}{}", text.replace('\n', "\r\n")),
                    u16::to_le_bytes,
                )
            })
        }),
        works(CASE, "CRLF", |a| {
            written(a, |text| text.replace('\n', "\r\n").into_bytes())
        }),
        works(CASE, "CR only", |a| {
            written(a, |text| text.replace('\n', "\r").into_bytes())
        }),
        works(CASE, "no line end at the end", |a| {
            written(a, |text| text.trim_end().to_owned().into_bytes())
        }),
        works(CASE, "signs of all planes in a comment", |a| {
            written(a, |text| format!("# über \u{1f600} x\n{text}").into_bytes())
        }),
        refused(CASE, "UTF-16LE without a mark", |a| {
            written(a, |text| utf16(text, u16::to_le_bytes))
        }),
        refused(CASE, "Latin-1 in a comment", |a| {
            written(a, |text| [b"# \xfcber\n", text.as_bytes()].concat())
        }),
        refused(CASE, "a byte 0 at the end", |a| {
            written(a, |text| format!("{text}\0").into_bytes())
        }),
        refused(CASE, "an escape sequence in a comment", |a| {
            written(a, |text| format!("# \u{1b}[31m\n{text}").into_bytes())
        }),
        works(CASE, "JSON", |a| json(a, str::to_owned)),
        works(CASE, "JSON on lines with tabs", |a| {
            json(a, |text| {
                text.replace("{\"", "{\n\t\"").replace(",\"", ",\n\t\t\"")
            })
        }),
        kinder(CASE, "JSON with escaped slashes", Readable, |a| {
            json(a, |text| text.replace('/', "\\/"))
        }),
        works(CASE, "JSON with a mark", |a| {
            json(a, |text| format!("\u{feff}{text}"))
        }),
        works(CASE, "JSON with commas at ends", |a| {
            json(a, |text| text.replace('}', ",}").replace(']', ",]"))
        }),
        works(CASE, "JSON and something behind it", |a| {
            json(a, |text| format!("{text}\nx"))
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn yaml() -> Vec<Variant> {
    vec![
        works(YAML, "--- before it, ... after it", |a| {
            written(a, |text| format!("---\n{text}...\n").into_bytes())
        }),
        works(YAML, "a directive", |a| {
            written(a, |text| format!("%YAML 1.1\n---\n{text}").into_bytes())
        }),
        works(YAML, "a second document", |a| {
            written(a, |text| {
                format!("{text}---\ncurrent-context: other\n").into_bytes()
            })
        }),
        works(YAML, "a second document that is broken", |a| {
            written(a, |text| format!("{text}---\na: [\n").into_bytes())
        }),
        refused(YAML, "the second document", |a| {
            written(a, |text| {
                format!("---\nkind: Config\n---\n{text}").into_bytes()
            })
        }),
        works(YAML, "anchors", |a| {
            let user = format!("token: &token {}\ntokenFile: \"\"", a.g.token);
            let text = a.g.config(&a.g.cluster(), &user);
            let text = text.replace("current-context: way", "current-context: &name way");
            let text = text.replace("- name: way", "- name: *name");
            a.kubeconfig(text + "- {name: again, user: {token: *token}}\n")
        }),
        works(YAML, "merged maps", |a| {
            let text = a.g.config("<<: *base", &a.g.token_user());
            let server = &a.g.server;
            let ca = base64(&a.g.ca);
            a.kubeconfig(format!(
                "x-base: &base {{server: \"{server}\", certificate-authority-data: {ca}}}\n{text}"
            ))
        }),
        works(
            YAML,
            "keys in quotes, with a question mark, with tags",
            |a| {
                let user = format!("? \"token\"\n: !!str {}", a.g.token);
                a.user(&user)
            },
        ),
        works(YAML, "comments and empty lines everywhere", |a| {
            written(a, |text| text.replace('\n', " # x\n\n  # y\n").into_bytes())
        }),
        works(YAML, "tabs after values and before comments", |a| {
            written(a, |text| {
                text.replace("name: way\n", "name: way\t\t# x\n")
                    .into_bytes()
            })
        }),
        works(YAML, "lists further to the right", |a| {
            written(a, |text| {
                let lines = text.lines().map(|line| match line.chars().next() {
                    Some('-' | ' ') => format!("    {line}\n"),
                    _ => format!("{line}\n"),
                });
                lines.collect::<String>().into_bytes()
            })
        }),
        works(YAML, "yes for true", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: Yes", a.g.server);
            a.cluster(&cluster)
        }),
        refused(YAML, "1 for true", |a| {
            let cluster = format!("server: {}\ninsecure-skip-tls-verify: 1", a.g.server);
            a.cluster(&cluster)
        }),
        refused(YAML, "no as a name, without quotes", |a| {
            written(a, |text| text.replace("way", "no").into_bytes())
        }),
        refused(YAML, "tabs before keys", |a| {
            written(a, |text| text.replace("\n  ", "\n\t").into_bytes())
        }),
        refused(YAML, "an anchor that there is not", |a| {
            a.user("token: *gone")
        }),
        refused(YAML, "a text", |a| a.kubeconfig("kubeconfig\n")),
        refused(YAML, "HTML", |a| {
            a.kubeconfig("<!DOCTYPE html>\n<html><body>Log in</body></html>\n")
        }),
    ]
}

/// The usual kubeconfig in other bytes.
fn written(a: Attempt, bytes: impl Fn(&str) -> Vec<u8>) -> Attempt {
    let text = a.g.config(&a.g.cluster(), &a.g.token_user());
    a.kubeconfig(bytes(&text))
}

/// The usual kubeconfig as JSON.
fn json(a: Attempt, written: impl Fn(&str) -> String) -> Attempt {
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "way",
        "contexts": [{"name": "way", "context": {"cluster": "here", "user": "me", "namespace": a.g.namespace}}],
        "clusters": [{"name": "here", "cluster": {"server": a.g.server, "certificate-authority-data": base64(&a.g.ca)}}],
        "users": [{"name": "me", "user": {"token": a.g.token}}],
    });
    a.kubeconfig(written(&text.to_string()))
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}
