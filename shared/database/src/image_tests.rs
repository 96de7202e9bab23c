//! Container, volumes and what Secrets and ConfigMaps hold, against the login that follows.

use k8s_openapi::api::core::v1::PodSpec;
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use super::Protocol;
use super::images::Image;
use super::variables::{Contents, Holder, Known, Lookup, Value};

fn data(entries: &[(&str, &str)]) -> Contents {
    let bytes = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
    Contents::Data(entries.iter().map(bytes).collect())
}

/// What there is in the namespace.
fn namespace() -> Known {
    let secret = |name: &str| Holder::Secret(name.into());
    Known::from([
        (
            Holder::ConfigMap("settings".into()),
            data(&[
                ("database", "stock"),
                ("owner", "clerk"),
                ("POSTGRES_DB", "stock"),
                ("POSTGRES_USER", "clerk"),
                ("PW_FILE", "/run/pw/password"),
                ("EMPTY", ""),
            ]),
        ),
        (
            secret("login"),
            data(&[
                ("password", "tulip7"),
                ("admin", "rose5"),
                ("broken", "tulip7\n"),
                ("POSTGRES_PASSWORD", "tulip7"),
                ("POSTGRES_DB", "later"),
            ]),
        ),
        (secret("hidden"), Contents::Unreadable),
        (secret("gone"), Contents::Missing),
        (Holder::ConfigMap("gone".into()), Contents::Missing),
    ])
}

/// User, database and password; `-` for what is surely not set, `?` for what is not known.
fn login(protocol: Protocol, pod: &Json, known: &Known) -> [String; 3] {
    let pod: PodSpec = serde_json::from_value(pod.clone()).expect("a pod");
    let image = Image::new(&pod.containers[0], Some(&pod), protocol).expect("a known protocol");
    let said = |lookup: Lookup| match lookup {
        Err(holder) => panic!("{holder} is not in the namespace of these tests"),
        Ok(Value::Absent) => "-".to_owned(),
        Ok(value) => match value.text(known) {
            Some(text) => text.expose_secret().to_owned(),
            None => "?".to_owned(),
        },
    };
    [
        image.username(known),
        image.dbname(known),
        image.password(known),
    ]
    .map(said)
}

/// One container of this image with this `env`, and all that the cases mount.
fn pod(image: &str, env: &Json) -> Json {
    let container = json!({"name": "db", "image": image, "env": env, "volumeMounts": [
        {"name": "whole", "mountPath": "/run/pw/"},
        {"name": "data", "mountPath": "/run/pw/data"},
        {"name": "items", "mountPath": "/run/items"},
        {"name": "whole", "mountPath": "/run/one", "subPath": "password"},
        {"name": "projected", "mountPath": "/run/projected"},
        {"name": "hidden", "mountPath": "/run/hidden"},
        {"name": "whole", "mountPath": "/run/expr", "subPathExpr": "$(X)"},
    ]});
    json!({"containers": [container], "volumes": [
        {"name": "whole", "secret": {"secretName": "login"}},
        {"name": "data", "emptyDir": {}},
        {"name": "items", "secret": {"secretName": "login", "items": [{"key": "password", "path": "db/pw"}]}},
        {"name": "projected", "projected": {"sources": [
            {"downwardAPI": {}},
            {"configMap": {"name": "settings"}},
            {"secret": {"name": "login", "items": [{"key": "password", "path": "pw"}]}},
        ]}},
        {"name": "hidden", "secret": {"secretName": "hidden"}},
    ]})
}

fn plain(name: &str, value: &str) -> Json {
    json!({"name": name, "value": value})
}

fn by_key(name: &str, kind: &str, object: &str, key: &str) -> Json {
    json!({"name": name, "valueFrom": {kind: {"name": object, "key": key}}})
}

fn postgres(env: &Json) -> [String; 3] {
    login(Protocol::Postgres, &pod("postgres:15", env), &namespace())
}

const SECRET: &str = "secretKeyRef";
const MAP: &str = "configMapKeyRef";

#[test]
fn defaults_only_where_nothing_is_set() {
    let password = plain("POSTGRES_PASSWORD", "tulip7");
    for (env, expected) in [
        (json!([password]), ["postgres", "postgres", "tulip7"]),
        (
            json!([plain("POSTGRES_USER", "clerk"), password]),
            ["clerk", "clerk", "tulip7"],
        ),
        (
            json!([plain("POSTGRES_USER", ""), password]),
            ["postgres", "postgres", "tulip7"],
        ),
        (
            json!([
                by_key("POSTGRES_USER", MAP, "settings", "owner"),
                by_key("POSTGRES_DB", MAP, "settings", "database")
            ]),
            ["clerk", "stock", "?"],
        ),
        (
            json!([by_key("POSTGRES_USER", MAP, "settings", "EMPTY"), password]),
            ["postgres", "postgres", "tulip7"],
        ),
        // Set, and not to be followed or read.
        (
            json!([by_key("POSTGRES_USER", SECRET, "hidden", "user"), password]),
            ["?", "?", "tulip7"],
        ),
        (
            json!([by_key("POSTGRES_USER", MAP, "gone", "user"), password]),
            ["?", "?", "tulip7"],
        ),
        (
            json!([
                by_key("POSTGRES_USER", MAP, "settings", "nothing"),
                password
            ]),
            ["?", "?", "tulip7"],
        ),
        (
            json!([{"name": "POSTGRES_USER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, password]),
            ["?", "?", "tulip7"],
        ),
        (
            json!([plain("POSTGRES_USER", "$(OWNER)"), password]),
            ["?", "?", "tulip7"],
        ),
        // References of variables, and what only looks like one.
        (
            json!([
                by_key("OWNER", MAP, "settings", "owner"),
                plain("POSTGRES_USER", "$(OWNER)"),
                password
            ]),
            ["clerk", "clerk", "tulip7"],
        ),
        (
            json!([
                plain("WHO", "clerk"),
                plain("POSTGRES_USER", "db-$(WHO)"),
                plain("POSTGRES_PASSWORD", "$$(WHO)$x")
            ]),
            ["db-clerk", "db-clerk", "$(WHO)$x"],
        ),
        (
            json!([plain("POSTGRES_HOST_AUTH_METHOD", "trust")]),
            ["postgres", "postgres", "-"],
        ),
        (json!([]), ["postgres", "postgres", "?"]),
    ] {
        assert_eq!(postgres(&env), expected, "{env}");
    }
    // Optional references that lead nowhere are not set.
    let optional = json!([{"name": "POSTGRES_USER", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "x", "optional": true}}}]);
    assert_eq!(postgres(&optional)[0], "postgres");
}

#[test]
fn later_objects_shadow_earlier_ones_and_env_shadows_all() {
    let login_of = |env_from: Json, env: Json| {
        let mut pod = pod("postgres:15", &env);
        pod["containers"][0]["envFrom"] = env_from;
        login(Protocol::Postgres, &pod, &namespace())
    };
    let map = json!({"configMapRef": {"name": "settings"}});
    let secret = json!({"secretRef": {"name": "login"}});
    assert_eq!(
        login_of(json!([secret, map]), json!([])),
        ["clerk", "stock", "tulip7"]
    );
    assert_eq!(
        login_of(json!([map, secret]), json!([])),
        ["clerk", "later", "tulip7"]
    );
    assert_eq!(
        login_of(json!([map, secret]), json!([plain("POSTGRES_DB", "mine")])),
        ["clerk", "mine", "tulip7"]
    );
    let prefixed = json!({"prefix": "POSTGRES_", "configMapRef": {"name": "prefixed"}});
    let mut known = namespace();
    known.insert(
        Holder::ConfigMap("prefixed".into()),
        data(&[("USER", "clerk"), ("PASSWORD_FILE", "/run/pw/password")]),
    );
    let mut with_prefix = pod("postgres:15", &json!([]));
    with_prefix["containers"][0]["envFrom"] = json!([prefixed]);
    assert_eq!(
        login(Protocol::Postgres, &with_prefix, &known),
        ["clerk", "clerk", "tulip7"]
    );
    // One that cannot be read may hold anything; one that may be missing and is holds nothing.
    let hidden = json!({"secretRef": {"name": "hidden"}});
    assert_eq!(login_of(json!([map, hidden]), json!([])), ["?", "?", "?"]);
    assert_eq!(
        login_of(json!([hidden, map]), json!([]))[..2],
        ["clerk", "stock"]
    );
    let gone = json!({"secretRef": {"name": "gone", "optional": true}});
    assert_eq!(
        login_of(json!([map, gone]), json!([]))[..2],
        ["clerk", "stock"]
    );
}

#[test]
fn files_are_followed_to_their_keys() {
    for (path, password) in [
        ("/run/pw/password", "tulip7"),
        ("/run//pw/./password", "tulip7"),
        // The entrypoints read files by `$(<FILE)`, which takes line breaks at the end away.
        ("/run/pw/broken", "tulip7"),
        ("/run/one", "tulip7"),
        ("/run/items/db/pw", "tulip7"),
        ("/run/projected/pw", "tulip7"),
        ("/run/projected/owner", "clerk"),
        ("/run/items/password", "?"),
        ("/run/pw/data/password", "?"),
        ("/run/pw/../pw/password", "?"),
        ("/run/pw/nothing", "?"),
        ("/run/hidden/password", "?"),
        ("/run/expr", "?"),
        ("/elsewhere", "?"),
    ] {
        let env = json!([
            plain("POSTGRES_USER", "clerk"),
            plain("POSTGRES_PASSWORD_FILE", path)
        ]);
        assert_eq!(postgres(&env), ["clerk", "clerk", password], "{path}");
    }
    // Where the path itself stands elsewhere.
    let env = json!([by_key("POSTGRES_PASSWORD_FILE", MAP, "settings", "PW_FILE")]);
    assert_eq!(postgres(&env)[2], "tulip7");
}

#[test]
fn images_of_bitnami_and_others() {
    let bitnami = |env: &Json| {
        login(
            Protocol::Postgres,
            &pod("docker.io/bitnami/postgresql:17", env),
            &namespace(),
        )
    };
    let admin = plain("POSTGRES_POSTGRES_PASSWORD_FILE", "/run/pw/admin");
    let user = plain("POSTGRES_PASSWORD_FILE", "/run/pw/password");
    assert_eq!(bitnami(&json!([user])), ["postgres", "postgres", "tulip7"]);
    assert_eq!(
        bitnami(&json!([plain("POSTGRES_USER", "clerk"), admin, user])),
        ["clerk", "postgres", "tulip7"]
    );
    assert_eq!(
        bitnami(&json!([plain("POSTGRESQL_USERNAME", "clerk"), admin])),
        ["clerk", "postgres", "?"],
        "the administrator's password is not the user's"
    );
    let other = |env: &Json| {
        login(
            Protocol::Postgres,
            &pod("registry.example/team/db:1", env),
            &namespace(),
        )
    };
    assert_eq!(
        other(&json!([])),
        ["?", "?", "?"],
        "what the image sets is not seen"
    );
    assert_eq!(
        other(&json!([
            plain("PGUSER", "clerk"),
            plain("PGDATABASE", "stock")
        ])),
        ["clerk", "stock", "?"]
    );
}

#[test]
fn other_databases() {
    let password = |name: &str| by_key(name, SECRET, "login", "password");
    let admin = |name: &str| by_key(name, SECRET, "login", "admin");
    for (protocol, image, env, expected) in [
        (
            Protocol::Mysql,
            "mysql:8",
            json!([
                plain("MYSQL_USER", "clerk"),
                password("MYSQL_PASSWORD"),
                admin("MYSQL_ROOT_PASSWORD"),
                plain("MYSQL_DATABASE", "stock")
            ]),
            ["clerk", "stock", "tulip7"],
        ),
        (
            Protocol::Mysql,
            "mariadb:11",
            json!([admin("MARIADB_ROOT_PASSWORD")]),
            ["root", "-", "rose5"],
        ),
        (
            Protocol::Mysql,
            "mysql:8",
            json!([plain("MYSQL_ALLOW_EMPTY_PASSWORD", "yes")]),
            ["root", "-", "-"],
        ),
        (
            Protocol::Mysql,
            "mysql:8",
            json!([plain("MYSQL_RANDOM_ROOT_PASSWORD", "yes")]),
            ["root", "-", "?"],
        ),
        (
            Protocol::Mysql,
            "bitnami/mariadb:11",
            json!([
                plain("MARIADB_USER", "clerk"),
                plain("MARIADB_PASSWORD_FILE", "/run/pw/password")
            ]),
            ["clerk", "-", "tulip7"],
        ),
        (
            Protocol::Mongodb,
            "mongo:7",
            json!([
                plain("MONGO_INITDB_ROOT_USERNAME", "clerk"),
                password("MONGO_INITDB_ROOT_PASSWORD")
            ]),
            ["clerk", "-", "tulip7"],
        ),
        (Protocol::Mongodb, "mongo:7", json!([]), ["-", "-", "-"]),
        (
            Protocol::Mongodb,
            "bitnami/mongodb:8",
            json!([
                admin("MONGODB_ROOT_PASSWORD"),
                plain("MONGODB_DATABASE", "stock")
            ]),
            ["root", "stock", "rose5"],
        ),
        (Protocol::Redis, "redis:7", json!([]), ["-", "-", "-"]),
        (
            Protocol::Redis,
            "bitnami/redis:7",
            json!([plain("REDIS_PASSWORD_FILE", "/run/pw/password")]),
            ["-", "-", "tulip7"],
        ),
    ] {
        assert_eq!(
            login(protocol, &pod(image, &env), &namespace()),
            expected,
            "{image} {env}"
        );
    }
}

#[test]
fn passwords_in_the_command_of_redis() {
    for (command, password) in [
        (json!(["redis-server", "--requirepass", "tulip7"]), "tulip7"),
        (json!(["redis-server", "--requirepass", "$(PW)"]), "rose5"),
        (
            json!([
                "sh",
                "-c",
                "exec redis-server --requirepass \"$PW\" --save ''"
            ]),
            "rose5",
        ),
        (
            json!(["sh", "-c", "redis-server --requirepass ${PW}"]),
            "rose5",
        ),
        (
            json!(["sh", "-c", "redis-server --requirepass $OTHER"]),
            "?",
        ),
        (
            json!(["sh", "-c", "redis-server --requirepass $(cat /pw)"]),
            "?",
        ),
        (json!(["redis-server", "/etc/redis/redis.conf"]), "?"),
        (json!(["redis-server", "--appendonly", "yes"]), "-"),
    ] {
        let mut pod = pod("redis:7", &json!([by_key("PW", SECRET, "login", "admin")]));
        pod["containers"][0]["command"] = command.clone();
        let found = login(Protocol::Redis, &pod, &namespace());
        assert_eq!(found[2], password, "{command}");
    }
}

#[test]
fn nothing_is_told_of_what_was_not_read() {
    let pod: PodSpec = serde_json::from_value(pod(
        "postgres:15",
        &json!([
            by_key("POSTGRES_USER", MAP, "settings", "owner"),
            plain("POSTGRES_DB", "stock")
        ]),
    ))
    .expect("a pod");
    let image = Image::new(&pod.containers[0], Some(&pod), Protocol::Postgres).expect("an image");
    let nothing = Known::new();
    assert_eq!(
        image.username(&nothing).err(),
        Some(Holder::ConfigMap("settings".into()))
    );
    assert!(image.dbname(&nothing).is_ok());
    assert!(image.drops_line_break());
    assert!(
        !format!("{image:?}").contains("stock"),
        "values are not for logs"
    );
}
