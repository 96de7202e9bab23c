//! A credential plugin that asks something has the terminal first, and psql has it then.

use e2e::{Stage, free_port};

use crate::logins::plugin::{ByPlugin, Special};

const ASKS: &str = r#"printf 'Code: ' >&2; read -r code; echo "$code" >> FOLDER/codes; [ "$code" = 123456 ] || exit 1"#;

#[test]
fn a_code_is_asked_for_once_and_psql_gets_the_rest() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.deploys_postgres();
    let asks = Special {
        first: ASKS,
        fields: "interactiveMode: Always",
        ..Special::default()
    };
    let carol = ByPlugin::new(&mut stage, "carol", &alice.namespace(), &asks);
    let psql = || {
        format!(
            "exec kubectl-proxy_db pg --port {} -- psql -XAtn -P pager=off",
            free_port()
        )
    };

    // What is typed when psql is there.
    let mut terminal = carol.person.at_terminal(&psql());
    terminal.shows("Code: ");
    terminal.presses("123456\n");
    terminal.shows("=#");
    terminal.presses("select 6 * 7;\n");
    terminal.shows("42");
    terminal.presses("\\q\n");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert_eq!(
        terminal.shown().matches("Code: ").count(),
        1,
        "{}",
        terminal.shown()
    );

    // What is typed before.
    let mut terminal = carol.person.at_terminal(&psql());
    terminal.shows("Code: ");
    terminal.presses("123456\nselect 6 * 7;\n\\q\n");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert!(terminal.shown().contains("42"), "{}", terminal.shown());

    let codes = std::fs::read_to_string(carol.file("codes")).unwrap();
    assert_eq!(codes, "123456\n123456\n");
    assert_eq!(carol.starts().len(), 2);

    // A wrong one is the plugin's affair.
    let mut terminal = carol.person.at_terminal("exec kubectl-share_db list");
    terminal.shows("Code: ");
    terminal.presses("1\n");
    assert_eq!(terminal.end(), 1);
    assert!(
        terminal.shown().contains("error: cannot get credentials"),
        "{}",
        terminal.shown()
    );
    assert_eq!(carol.starts().len(), 1);

    // Nobody is there to be asked.
    let outcome = carol.person.share_db(&["list"]);
    outcome.fails(1, "standard input is not a terminal");
    assert_eq!(carol.starts().len(), 0);
}
