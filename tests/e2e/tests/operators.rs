//! Databases that the operator of CloudNativePG runs.

use std::time::Duration;

use e2e::{Stage, eventually};

const INSEE: &str = include_str!("../manifests/databases/insee-operator.yaml");

#[test]
fn the_database_in_use_is_entered_as_its_owner() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let admin = stage.admin();
    let namespace = alice.namespace();
    // A namespace's admin may neither make nor read what the operator defines: the platform does.
    let documents = INSEE.replace(
        "metadata: {name: ",
        &format!("metadata: {{namespace: {namespace}, name: "),
    );
    let documents = documents.replace(
        "metadata:\n  name: ",
        &format!("metadata:\n  namespace: {namespace}\n  name: "),
    );
    admin.applies(&documents);
    eventually("the database is made", Duration::from_mins(3), || {
        let made = "jsonpath={.status.applied}";
        let get = [
            "get",
            "databases.postgresql.cnpg.io",
            "shop",
            "-n",
            &namespace,
            "-o",
            made,
        ];
        admin.kubectl(&get).stdout == "true"
    });

    let who = "select current_user, current_database()";
    assert_eq!(alice.sql("shop", who).ok().stdout, "alice|defaultdb\n");
    let shared = alice.share_db(&["shop", "--with", &bob.name]).ok();
    shared.says("shop asks for a password, also through a tunnel");
    let mut proxy = bob.proxy(&format!("{namespace}/shop"));
    proxy.says("-U alice -d defaultdb");
    // Bob has no login there; what Alice gave away is a way to it.
    let refused = bob.sql(&format!("{namespace}/shop"), who);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    admin
        .kubectl(&[
            "delete",
            "clusters.postgresql.cnpg.io",
            "shop",
            "-n",
            &namespace,
        ])
        .ok();
}
