//! K12: tokens and files with tokens, and contexts as GitLab's agent writes them.

use crate::parity::attempt::Attempt;
use crate::parity::variant::Exception::FlagCounts;
use crate::parity::variant::{Variant, kinder, refused, stricter, works};

const CI: &str = "K12 GitLab";
const TOKEN: &str = "token";
const FILE: &str = "token file";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = contexts();
    all.extend(tokens());
    all.extend(files());
    all.extend(both());
    all
}

fn contexts() -> Vec<Variant> {
    vec![
        works(CI, "context `stat/shop:agent 1`", |a| {
            renamed(a, "stat/shop:agent 1")
        }),
        works(CI, "the same by flag", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let text = text.replace("current-context: way\n", "current-context: other\n");
            a.kubeconfig(text.replace("name: way", "name: stat/shop:agent 1"))
                .args(&["--context", "stat/shop:agent 1"])
        }),
        works(CI, "a name of umlauts, signs and line ends", |a| {
            renamed(a, "\"ü\\n'%s' \\u2028 #\"")
        }),
        works(CI, "a number in quotes as name", |a| renamed(a, "\"007\"")),
        works(CI, "no HOME, a kubeconfig that only its owner reads", |a| {
            a.usual().without("HOME").mounts("chmod 600 FOLDER/config")
        }),
        works(
            CI,
            "no HOME, and the token in a file with a line end",
            |a| {
                let token = a.g.token.clone() + "\n";
                a.file("TOKEN", token)
                    .user("tokenFile: TOKEN")
                    .without("HOME")
            },
        ),
        works(CI, "no user, and the token by flag", |a| {
            let flag = format!("--token={}", a.g.token);
            let text =
                a.g.config(&a.g.cluster(), "{}")
                    .replace("    user: me\n", "");
            a.kubeconfig(text).args(&[&flag])
        }),
        works(CI, "no kubeconfig, everything by flags", |a| {
            let (server, token) = (a.g.server.clone(), a.g.token.clone());
            let ca = a.g.ca.clone();
            a.file("ca.crt", ca).in_namespace().args(&[
                "--server",
                &server,
                "--token",
                &token,
                "--certificate-authority",
                "FOLDER/ca.crt",
            ])
        }),
        refused(CI, "a number as name", |a| renamed(a, "2024")),
        refused(CI, "a number as namespace", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.token_user());
            let namespace = format!("namespace: {}", a.g.namespace);
            a.kubeconfig(text.replace(&namespace, "namespace: 2024"))
        }),
        refused(CI, "a namespace that can be none", |a| {
            let text = a.g.config(&a.g.cluster(), &a.g.admin.user());
            let namespace = format!("namespace: {}", a.g.namespace);
            a.kubeconfig(text.replace(&namespace, "namespace: User/Alice"))
        }),
        refused(CI, "blanks at the end of the flag", |a| {
            a.usual().args(&["--context", "way "])
        }),
    ]
}

fn tokens() -> Vec<Variant> {
    vec![
        works(TOKEN, "plain", usual),
        works(TOKEN, "folded over lines, joined by a backslash", |a| {
            let (start, end) = a.g.token.split_at(100);
            let user = format!("token: \"{start}\\\n  {end}\"");
            a.user(&user)
        }),
        works(TOKEN, "as a block without line end", |a| {
            let user = format!("token: |-\n  {}", a.g.token);
            a.user(&user)
        }),
        works(TOKEN, "a blank behind it", |a| {
            let user = format!("token: \"{} \"", a.g.token);
            a.user(&user)
        }),
        works(TOKEN, "by flag over another's", |a| {
            let (user, token) = (a.g.stranger_user(), a.g.token.clone());
            a.user(&user).args(&["--token", &token])
        }),
        refused(TOKEN, "another's by flag", |a| {
            let token = a.g.stranger_token.clone();
            a.usual().args(&["--token", &token])
        }),
        refused(TOKEN, "a blank before it", |a| {
            let user = format!("token: \" {}\"", a.g.token);
            a.user(&user)
        }),
        refused(TOKEN, "as a block with its line end", |a| {
            let user = format!("token: |\n  {}", a.g.token);
            a.user(&user)
        }),
        refused(TOKEN, "with the word Bearer", |a| {
            let user = format!("token: Bearer {}", a.g.token);
            a.user(&user)
        }),
        refused(TOKEN, "of somebody who may nothing here", |a| {
            let user = a.g.stranger_user();
            a.user(&user)
        }),
        refused(TOKEN, "of nobody", |a| a.user("token: abc.def.ghi")),
        refused(TOKEN, "a number", |a| a.user("token: 12345")),
    ]
}

fn files() -> Vec<Variant> {
    vec![
        works(FILE, "LF at its end", |a| written(a, "", "\n")),
        works(FILE, "CRLF at its end", |a| written(a, "", "\r\n")),
        works(FILE, "blanks, tabs and line ends around it", |a| {
            written(a, "\n \t", " \n\n")
        }),
        works(FILE, "absolute", |a| {
            let (token, path) = (a.g.token.clone(), a.path("deep/token"));
            a.file("deep/token", token)
                .user(&format!("tokenFile: {path}"))
        }),
        works(FILE, "a link, relative, from another folder", |a| {
            let token = a.g.token.clone();
            a.file("..data/token", token)
                .link("token", "..data/token")
                .file("x/y", "")
                .within("x")
                .user("tokenFile: ./token")
        }),
        refused(FILE, "a mark of UTF-8 before it", |a| {
            written(a, "\u{feff}", "")
        }),
        refused(FILE, "two lines", |a| written(a, "# token\n", "")),
        refused(FILE, "missing", |a| a.user("tokenFile: gone")),
        refused(FILE, "empty", |a| {
            a.file("token", "").user("tokenFile: token")
        }),
        refused(FILE, "a line end only", |a| {
            a.file("token", "\n").user("tokenFile: token")
        }),
        refused(FILE, "a folder", |a| {
            a.file("token/x", "").user("tokenFile: token")
        }),
        refused(FILE, "of somebody who may nothing here", |a| {
            let token = a.g.stranger_token.clone();
            a.file("token", token).user("tokenFile: token")
        }),
    ]
}

/// A token and a file.
fn both() -> Vec<Variant> {
    vec![
        works(FILE, "beside another's token: the file counts", |a| {
            let (token, other) = (a.g.token.clone(), a.g.stranger_user());
            a.file("token", token)
                .user(&format!("{other}\ntokenFile: token"))
        }),
        refused(FILE, "another's beside a token: the file counts", |a| {
            let (other, user) = (a.g.stranger_token.clone(), a.g.token_user());
            a.file("token", other)
                .user(&format!("{user}\ntokenFile: token"))
        }),
        works(FILE, "missing beside a token", |a| {
            let user = a.g.token_user();
            a.user(&format!("{user}\ntokenFile: gone"))
        }),
        works(FILE, "empty beside a token", |a| {
            let user = a.g.token_user();
            a.file("token", " \n")
                .user(&format!("{user}\ntokenFile: token"))
        }),
        kinder(FILE, "another's, and the token by flag", FlagCounts, |a| {
            let (other, token) = (a.g.stranger_token.clone(), a.g.token.clone());
            a.file("token", other)
                .user("tokenFile: token")
                .args(&["--token", &token])
        }),
        stricter(
            FILE,
            "another's by flag, and the token in a file",
            FlagCounts,
            |a| {
                let (other, token) = (a.g.stranger_token.clone(), a.g.token.clone());
                a.file("token", token)
                    .user("tokenFile: token")
                    .args(&["--token", &other])
            },
        ),
    ]
}

/// The usual kubeconfig.
fn usual(a: Attempt) -> Attempt {
    a.usual()
}

/// The usual kubeconfig with another name for its context.
fn renamed<'g>(a: Attempt<'g>, name: &str) -> Attempt<'g> {
    let text = a.g.config(&a.g.cluster(), &a.g.token_user());
    let text = text.replace("current-context: way", &format!("current-context: {name}"));
    a.kubeconfig(text.replace("name: way", &format!("name: {name}")))
}

/// The token in a file, with this around it.
fn written<'g>(a: Attempt<'g>, before: &str, after: &str) -> Attempt<'g> {
    let text = format!("{before}{}{after}", a.g.token);
    a.file("token", text).user("tokenFile: token")
}
