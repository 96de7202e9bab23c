//! Flags about whom to act as, how long to wait, and what else kubectl takes.

use crate::parity::attempt::Attempt;
use crate::parity::variant::Exception::{FlagCounts, Readable};
use crate::parity::variant::{Variant, kinder, refused, stricter, works};

const AS: &str = "flags: as";
const REST: &str = "flags: others";

pub(super) fn variants() -> Vec<Variant> {
    let mut all = acting();
    all.extend(others());
    all
}

fn acting() -> Vec<Variant> {
    vec![
        works(AS, "--as", |a| {
            let who = format!("--as=system:serviceaccount:{}:ci", a.g.namespace);
            admin(a, "").args(&[&who])
        }),
        works(AS, "--as-group twice", |a| {
            admin(a, "").args(&[
                "--as=nobody",
                "--as-group=a",
                "--as-group",
                "system:masters",
            ])
        }),
        works(AS, "--as-uid", |a| {
            admin(a, "").args(&["--as=nobody", "--as-uid=7", "--as-group=system:masters"])
        }),
        works(AS, "--as-user-extra, with odd signs", |a| {
            admin(a, "").args(&[
                "--as=nobody",
                "--as-group=system:masters",
                "--as-user-extra=example.org/a b%=c=d",
            ])
        }),
        stricter(AS, "--as-user-extra without =", FlagCounts, |a| {
            admin(a, "").args(&[
                "--as=nobody",
                "--as-group=system:masters",
                "--as-user-extra=x",
            ])
        }),
        works(AS, "as and as-groups of the kubeconfig", |a| {
            admin(
                a,
                "as: nobody\nas-groups: [a, system:masters]\nas-uid: \"7\"\nas-user-extra: {x: [a, b]}",
            )
        }),
        works(AS, "--as over as, whose groups stay", |a| {
            admin(a, "as: somebody\nas-groups: [system:masters]").args(&["--as=nobody"])
        }),
        works(AS, "--as-group over as-groups, whose user stays", |a| {
            admin(a, "as: nobody\nas-groups: [a]").args(&["--as-group=system:masters"])
        }),
        works(AS, "a name of two words", |a| {
            admin(a, "").args(&["--as=no body", "--as-group=system:masters"])
        }),
        refused(AS, "--as somebody who may nothing", |a| {
            admin(a, "").args(&["--as=nobody"])
        }),
        refused(AS, "as of the kubeconfig: somebody who may nothing", |a| {
            admin(a, "as: nobody")
        }),
        refused(AS, "--as of somebody who may not", |a| {
            a.usual()
                .args(&["--as=nobody", "--as-group=system:masters"])
        }),
        refused(AS, "--as-group without --as", |a| {
            admin(a, "").args(&["--as-group=system:masters"])
        }),
        refused(AS, "as-uid without as in the kubeconfig", |a| {
            admin(a, "as-uid: \"7\"")
        }),
        refused(AS, "a name with a line end", |a| {
            admin(a, "").args(&["--as=no\nbody", "--as-group=system:masters"])
        }),
    ]
}

fn others() -> Vec<Variant> {
    vec![
        works(REST, "--request-timeout=10s", |a| {
            a.usual().args(&["--request-timeout=10s"])
        }),
        works(REST, "--request-timeout 1m10.5s", |a| {
            a.usual().args(&["--request-timeout", "1m10.5s"])
        }),
        works(REST, "--request-timeout=0", |a| {
            a.usual().args(&["--request-timeout=0"])
        }),
        works(REST, "--request-timeout=20", |a| {
            a.usual().args(&["--request-timeout=20"])
        }),
        refused(REST, "--request-timeout=soon", |a| {
            a.usual().args(&["--request-timeout=soon"])
        }),
        refused(REST, "--request-timeout=1ms", |a| {
            a.usual().args(&["--request-timeout=1ms"])
        }),
        works(REST, "--request-timeout=1.5h", |a| {
            a.usual().args(&["--request-timeout=1.5h"])
        }),
        works(REST, "--request-timeout=20000ms", |a| {
            a.usual().args(&["--request-timeout=20000ms"])
        }),
        kinder(REST, "--request-timeout of two days", Readable, |a| {
            a.usual().args(&["--request-timeout=2d"])
        }),
        works(REST, "--disable-compression", |a| {
            a.usual().args(&["--disable-compression"])
        }),
        works(REST, "disable-compression in the kubeconfig", |a| {
            let cluster = a.g.cluster() + "\ndisable-compression: true";
            a.cluster(&cluster)
        }),
        works(REST, "--cache-dir", |a| {
            a.usual().args(&["--cache-dir=FOLDER/cache"])
        }),
        works(REST, "--username and --password, without TLS", |a| {
            let server = format!("server: {}", a.g.plain());
            a.config(&server, "{}")
                .args(&["--username=me", "--password=secret"])
        }),
        works(REST, "--username beside a certificate", |a| {
            let user = a.g.alice.user();
            a.user(&user).args(&["--username=me", "--password=secret"])
        }),
        refused(REST, "--username and --password over a token", |a| {
            a.usual().args(&["--username=me", "--password=secret"])
        }),
        refused(REST, "an unknown flag", |a| {
            a.usual().args(&["--proxy-url=http://127.0.0.1:9"])
        }),
        works(REST, "the last of two counts", |a| {
            let namespace = a.g.namespace.clone();
            a.usual()
                .args(&["-n", "default", "--namespace", &namespace])
        }),
    ]
}

/// The admin with more lines.
fn admin<'g>(a: Attempt<'g>, more: &str) -> Attempt<'g> {
    let user = format!("{}\n{more}", a.g.admin.user());
    a.user(&user)
}
