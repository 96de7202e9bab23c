//! A second ingress controller beside the default one: the class is named, or learned.

use e2e::Stage;
use test_cluster::SECOND_DOMAIN;

#[test]
fn the_class_that_is_named_is_served_by_its_controller() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let host = format!("{}.{SECOND_DOMAIN}", stage.own("shop"));
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    let before = alice.belongings();
    let exposed = alice
        .expose_app(&["web", "--host", &host, "--class", "haproxy"])
        .ok();
    assert_eq!(exposed.stdout, format!("https://{host}\n"));
    let answer = alice.fetch(&format!("https://{host}"));
    assert!(
        answer.body.contains("<title>Shop</title>"),
        "{}",
        answer.body
    );

    bob.deploys_web("web", &[("TITLE", "Bob")]);
    let bobs = bob.belongings();
    bob.expose_app(&["web", "--host", &host, "--class", "haproxy"])
        .fails(1, &format!("host {host} is already in use"));
    assert_eq!(bob.belongings(), bobs, "nothing was written");

    alice.expose_app(&["remove", "web"]).ok();
    assert_eq!(alice.belongings(), before);
}

#[test]
fn the_class_of_a_neighbour_is_learned() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.has_a_neighbour(&format!("{}.{SECOND_DOMAIN}", stage.own("ide")));
    alice
        .kubectl(&[
            "patch",
            "ingress",
            "ide-ui",
            "-p",
            r#"{"spec":{"ingressClassName":"haproxy"}}"#,
        ])
        .ok();
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    let exposed = alice.expose_app(&["web"]).ok().says("class haproxy");
    let host = format!("web-{}.{SECOND_DOMAIN}", stage.own("alice"));
    assert_eq!(exposed.stdout, format!("https://{host}\n"));
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
}

#[test]
fn the_wrong_controllers_class_is_explained() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = format!("{}.{SECOND_DOMAIN}", stage.own("shop"));
    alice.deploys_web("web", &[]);
    // The name leads to the second controller, the class to the first.
    alice
        .expose_app(&["web", "--host", &host, "--class", "traefik"])
        .fails(1, &format!("the controller does not know the host {host}"))
        .says("its controller is not the one that answers here")
        .within(std::time::Duration::from_secs(10));
}
