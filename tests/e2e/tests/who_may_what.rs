//! The table of docs/threat-model.md, cell by cell, with everybody's own credentials.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on panics, and says where"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use e2e::{Person, Stage, eventually};

type Table = BTreeMap<String, Vec<bool>>;

/// The table under the heading "Who may what": the people, and whether they may what its columns say.
fn documented() -> (Vec<String>, Table) {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/threat-model.md");
    let text = std::fs::read_to_string(document).unwrap();
    let section = text.split("## Who may what").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut rows = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<String>>()
        });
    let columns = rows.next().unwrap().split_off(1);
    let people = rows.skip(1).map(|mut row| {
        let may = row.split_off(1);
        (
            row.remove(0),
            may.iter().map(|cell| cell == "yes").collect(),
        )
    });
    (columns, people.collect())
}

/// Somebody, and the arguments of kubectl that make them who they are.
struct Somebody<'a> {
    person: &'a Person,
    token: Option<&'a str>,
}

impl Somebody<'_> {
    /// Whether the API server lets a request through: whatever else it has to say is said after that.
    fn may(&self, request: &[&str]) -> bool {
        let mut args: Vec<&str> = request.to_vec();
        if let Some(token) = self.token {
            args.extend(["--token", token]);
        }
        let answer = self.person.kubectl(&args);
        let forbidden = answer.stderr.contains("forbidden") || answer.stderr.contains("Forbidden");
        assert!(
            answer.code == 0 || forbidden || is_past_the_question(&answer.stderr),
            "neither yes nor no: {}",
            answer.stderr
        );
        !forbidden
    }
}

/// The requests of each column.
fn requests(namespace: &str, share: &str) -> BTreeMap<&'static str, Vec<String>> {
    let pod = |name: &str, subresource: &str| {
        format!("/api/v1/namespaces/{namespace}/pods/{name}/{subresource}")
    };
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let create = |path: String| words(format!("create --raw {path} -f /dev/null"));
    BTreeMap::from([
        ("forward pg", create(pod("pg-0", "portforward"))),
        ("forward another pod", create(pod("other", "portforward"))),
        (
            "read the card",
            words(format!("get configmap {share} -n {namespace} -o name")),
        ),
        (
            "read Secrets",
            words(format!("get secrets -n {namespace} -o name")),
        ),
        (
            "read pods",
            words(format!("get pods -n {namespace} -o name")),
        ),
        (
            "exec",
            create(format!("{}?command=true", pod("pg-0", "exec"))),
        ),
        (
            "delete the pod",
            words(format!("delete pod pg-0 -n {namespace} --dry-run=server")),
        ),
        (
            "prolong the share",
            words(format!(
                r#"patch job {share} -n {namespace} --dry-run=server -p {{"spec":{{"activeDeadlineSeconds":99999}}}}"#
            )),
        ),
    ])
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn as_it_is_written() {
    let (columns, written) = documented();
    let mut stage = Stage::new();
    let team = stage.own("team");
    let (alice, bob, eve) = (
        stage.person("alice"),
        stage.person("bob"),
        stage.person("eve"),
    );
    let (was, mate) = (
        stage.person("was"),
        stage.person_with("mate", "admin", &[&team]),
    );
    let (viewer, editor) = (stage.person("viewer"), stage.person("editor"));
    alice.deploys_postgres();
    let namespace = alice.namespace();
    for (role, person) in [("view", &viewer), ("edit", &editor)] {
        let user = format!("--user=oidc-{}", person.name);
        alice
            .kubectl(&[
                "create",
                "rolebinding",
                role,
                &format!("--clusterrole={role}"),
                &user,
            ])
            .ok();
    }
    alice
        .share_db(&["pg", "--with", &bob.name, "--for", "1h"])
        .ok();
    alice
        .share_db(&["pg", "--with", &format!("group:{team}"), "--for", "1h"])
        .ok();
    alice
        .share_db(&["pg", "--with", &was.name, "--for", "1h"])
        .ok();
    alice
        .share_db(&["extend", "pg", "--with", &was.name, "--for", "1s"])
        .ok();
    let token = eve.kubectl(&["create", "token", "default"]).ok().stdout;
    let ended = alice.share_name("pg", &was.name);
    eventually("the short share has ended", Duration::from_secs(20), || {
        alice.kubectl(&["get", "rolebinding", &ended]).code != 0
    });

    let of_bob = alice.share_name("pg", &bob.name);
    let of_team = alice.share_name("pg", &format!("group:{team}"));
    let people: [(&str, &Person, Option<&str>, &str); 7] = [
        ("Bob, while the share lasts", &bob, None, &of_bob),
        (
            "a member of a group it is shared with",
            &mate,
            None,
            &of_team,
        ),
        ("Bob, after its end", &was, None, &of_bob),
        ("Eve", &eve, None, &of_bob),
        (
            "a ServiceAccount of another namespace",
            &eve,
            Some(token.trim()),
            &of_bob,
        ),
        (
            "a colleague with `view` in the namespace",
            &viewer,
            None,
            &of_bob,
        ),
        (
            "a colleague with `edit` in the namespace",
            &editor,
            None,
            &of_bob,
        ),
    ];
    let mut found = Table::new();
    for (who, person, token, share) in people {
        let somebody = Somebody { person, token };
        let requests = requests(&namespace, share);
        assert_eq!(requests.len(), columns.len());
        let may = columns.iter().map(|column| {
            let request = &requests[column.as_str()];
            somebody.may(&request.iter().map(String::as_str).collect::<Vec<_>>())
        });
        found.insert(who.to_owned(), may.collect());
    }
    assert_eq!(found, written, "columns: {columns:?}");
}

/// What the API server says after it has let a request through: that a tunnel needs another protocol, or there is no such pod.
fn is_past_the_question(said: &str) -> bool {
    said.contains("pgrade") || said.contains("(NotFound)")
}
