//! In a pipeline or an IDE the rights may be fewer than one's own.

use e2e::Stage;

#[test]
fn who_may_only_look_is_refused_before_anything_is_written() {
    let mut stage = Stage::new();
    let (alice, viewer) = (
        stage.person("alice"),
        stage.person_with("viewer", "view", &[]),
    );
    let namespace = viewer.namespace();
    let host = stage.host("shop");
    let admin = stage.admin();
    // An app is there, made by somebody who may.
    admin
        .kubectl(&[
            "create",
            "deployment",
            "web",
            "--image=web:1",
            "--port=8000",
            "-n",
            &namespace,
        ])
        .ok();
    admin
        .kubectl(&[
            "rollout",
            "status",
            "deployment/web",
            "-n",
            &namespace,
            "--timeout=10m",
        ])
        .ok();
    for refused in [
        viewer.expose_app(&["web", "--host", &host]),
        viewer.deploy_app(&["new", "--image", "web:1", "--port", "8000"]),
        viewer.deploy_app(&[
            "new",
            "--image",
            "web:1",
            "--port",
            "8000",
            &format!("--expose={host}"),
        ]),
    ] {
        let refused = refused.fails(
            1,
            &format!("your rights in namespace `{namespace}` do not allow"),
        );
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(
        viewer.ours("ingresses,services,deployments,jobs,configmaps"),
        [""; 0]
    );
    // In the namespace of somebody else there is not even a look.
    viewer
        .expose_app(&["web", "-n", &alice.namespace()])
        .fails(1, "not allowed to list");
}

#[test]
fn who_may_edit_can_deploy_and_expose() {
    let mut stage = Stage::new();
    let editor = stage.person_with("editor", "edit", &[]);
    let host = stage.host("shop");
    let before = editor
        .kubectl(&[
            "get",
            "deployments,services,ingresses,configmaps,secrets",
            "-o",
            "name",
        ])
        .ok()
        .stdout;
    let expose = format!("--expose={host}");
    let deployed = editor
        .deploy_app(&[
            "web",
            "--image",
            "web:1",
            "--port",
            "8000",
            "--env",
            "TITLE=Built",
            &expose,
        ])
        .ok();
    assert_eq!(deployed.stdout, format!("https://{host}\n"));
    assert!(
        editor
            .fetch(&format!("https://{host}"))
            .body
            .contains("<title>Built</title>")
    );
    editor.expose_app(&["web", "--for", "1h"]).ok();
    editor.deploy_app(&["delete", "web"]).ok();
    e2e::eventually(
        "nothing is left",
        std::time::Duration::from_secs(10),
        || {
            let after = editor.kubectl(&[
                "get",
                "deployments,services,ingresses,configmaps,secrets",
                "-o",
                "name",
            ]);
            after.ok().stdout == before
        },
    );
}
