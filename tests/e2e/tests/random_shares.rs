//! Whatever happens to shares and their timers, `list` says what the API server says, and `revoke --all` ends all of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and says where"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::{Alone, Person, Stage, eventually, rounds};
use test_cluster::{Component, Fault};

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or_default()
    }
}

const COLLEAGUES: [&str; 4] = ["bob", "dev-bob", "carol", "dave"];
const DATABASES: [&str; 4] = ["pg", "svc/pg", "pod/pg-0", "statefulset/pg"];

/// The names of the objects of each share, by database and colleague.
type Names = BTreeMap<(usize, usize), String>;

/// The cluster's controllers, stopped until this goes.
struct Stopped<'a>(&'a Stage);

impl<'a> Stopped<'a> {
    fn controllers(stage: &'a Stage) -> Self {
        stage
            .cluster
            .fault(Fault::Stop(Component::ControllerManager))
            .unwrap();
        Self(stage)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let go_on = Fault::Continue(Component::ControllerManager);
        self.0.cluster.fault(go_on).unwrap();
    }
}

/// One thing that somebody does, or that happens to a timer. What it answers does not matter: others do the same meanwhile.
fn something_happens(alice: &Person, names: &Names, dice: &mut Dice) {
    let pair = (dice.roll(DATABASES.len()), dice.roll(COLLEAGUES.len()));
    let (database, colleague) = (DATABASES[pair.0], COLLEAGUES[pair.1]);
    let job = &names[&pair];
    match dice.roll(12) {
        0..=4 => {
            let term = ["1s", "3s", "20m", "1h"][dice.roll(4)];
            alice.share_db(&[database, "--with", colleague, "--for", term]);
        }
        5 => drop(alice.share_db(&[database, "--with", colleague, "--forever"])),
        6 => drop(alice.share_db(&["extend", database, "--with", colleague, "--for", "30m"])),
        7 | 8 => drop(alice.share_db(&["revoke", database, "--with", colleague])),
        9 => {
            let cascade = ["orphan", "background", "foreground"][dice.roll(3)];
            alice.kubectl(&[
                "delete",
                "job",
                job,
                "--wait=false",
                &format!("--cascade={cascade}"),
            ]);
        }
        10 => drop(alice.kubectl(&["patch", "job", job, "-p", r#"{"spec": {"suspend": true}}"#])),
        _ => {
            let orphaned = r#"{"metadata": {"ownerReferences": null}}"#;
            alice.kubectl(&["patch", "rolebinding", job, "-p", orphaned]);
        }
    }
}

/// Who may open a tunnel, as the API server says; asking as somebody else needs the cluster's administrator.
fn those_who_may(admin: &Person, namespace: &str) -> BTreeSet<String> {
    let right = [
        "auth",
        "can-i",
        "create",
        "pods/pg-0",
        "--subresource=portforward",
        "-q",
        "-n",
        namespace,
    ];
    let may = |user: &String| {
        admin
            .kubectl(&[&right[..], &[&format!("--as={user}")]].concat())
            .code
            == 0
    };
    COLLEAGUES
        .iter()
        .map(|colleague| format!("oidc-{colleague}"))
        .filter(may)
        .collect()
}

/// Who may, as `list` says.
fn those_listed(alice: &Person) -> BTreeSet<String> {
    let list = alice.share_db(&["list", "-o", "json"]).ok();
    let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let shares = list["items"].as_array().unwrap().iter();
    shares
        .filter(|share| share["verified"] == true)
        .map(|share| share["subject"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn three_people_share_and_revoke_at_random() {
    // Others need the controllers that stop here.
    let alone = Alone::on_the_cluster();
    let mut stage = alone.stage();
    let admin = stage.admin();
    let alice = stage.person("alice");
    alice.deploys_postgres();
    let asking = || those_who_may(&admin, &alice.namespace());
    let events = rounds(8, 100);
    let names: Names = (0..DATABASES.len())
        .flat_map(|database| (0..COLLEAGUES.len()).map(move |colleague| (database, colleague)))
        .map(|pair| {
            (
                pair,
                alice.share_name(DATABASES[pair.0], COLLEAGUES[pair.1]),
            )
        })
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds(1, 6) {
                let stopped = Stopped::controllers(&stage);
                std::thread::sleep(Duration::from_secs(2));
                drop(stopped);
                std::thread::sleep(Duration::from_secs(4));
            }
        });
        for seed in [
            0x9e37_79b9_7f4a_7c15,
            0xbf58_476d_1ce4_e5b9,
            0x94d0_49bb_1331_11eb,
        ] {
            let (alice, names) = (&alice, &names);
            scope.spawn(move || {
                let mut dice = Dice(seed);
                (0..events).for_each(|_| something_happens(alice, names, &mut dice));
            });
        }
    });
    // Until the cluster has carried out what was begun: what is listed is what is.
    let mut listed = BTreeSet::new();
    eventually("the list is the truth", Duration::from_secs(30), || {
        listed = those_listed(&alice);
        listed == asking()
    });
    let revoked = alice.share_db(&["revoke", "--all"]);
    assert!(revoked.code == 0 || listed.is_empty(), "{}", revoked.stderr);
    eventually(
        "nobody may anything, and nothing is left",
        Duration::from_secs(30),
        || asking().is_empty() && alice.ours("jobs,roles,rolebindings,configmaps").is_empty(),
    );
}
