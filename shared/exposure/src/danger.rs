//! Apps that must not be open to the world.

use k8s_openapi::api::core::v1::Container;

use super::fingerprint::title;
use commons::web::Answer;

/// Images of tools that give whoever opens them a database, files or a shell, without asking who it is or with a password that
/// everybody knows.
const TOOLS: [(&str, &str); 14] = [
    ("adminer", "a database's administration page"),
    ("phpmyadmin", "a database's administration page"),
    ("mongo-express", "a database's administration page"),
    ("redis-commander", "a database's administration page"),
    ("redisinsight", "a database's administration page"),
    ("pgweb", "a database's administration page"),
    ("dbgate", "a database's administration page"),
    ("kafka-ui", "a message broker's administration page"),
    ("filebrowser", "a page to all files of its volume"),
    ("portainer", "a page to administer containers"),
    ("kubernetes-dashboard", "a page to administer the cluster"),
    ("ttyd", "a terminal"),
    ("wetty", "a terminal"),
    ("mlflow", "all experiments and models, without a login"),
];

/// Why this app should not be open to everybody, in one phrase; nothing where no reason is seen.
///
/// `answer` is what the app answers to somebody who is not logged in.
pub fn reason_against(containers: &[Container], answer: Option<&Answer>) -> Option<String> {
    for container in containers {
        let image = container
            .image
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let name = image
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .split([':', '@'])
            .next()
            .unwrap_or_default();
        if let Some((_, what)) = TOOLS.iter().find(|(tool, _)| name.contains(tool)) {
            return Some(format!(
                "image `{}` is {what}",
                commons::printable::short(name, 60)
            ));
        }
        if let Some(how) = without_login(container) {
            return Some(how);
        }
    }
    let answer = answer?;
    // Jupyter with a token or password leads to its login page; without, straight to the files and a terminal.
    let location = answer
        .headers
        .get(http::header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let jupyter = title(answer).is_some_and(|title| title.to_ascii_lowercase().contains("jupyter"));
    let inside = ["/lab", "/tree"]
        .iter()
        .any(|path| location.trim_end_matches('?').ends_with(path));
    if inside
        || (jupyter
            && answer.status == 200
            && !String::from_utf8_lossy(&answer.body).contains("password_input"))
    {
        return Some("it looks like Jupyter without a token: whoever opens it has a terminal in your namespace".into());
    }
    None
}

/// Whether a container switches its own login off.
fn without_login(container: &Container) -> Option<String> {
    let words = container.command.iter().chain(&container.args).flatten();
    let text = words.map(String::as_str).collect::<Vec<_>>().join(" ");
    // `--ServerApp.token=''` and the older `--NotebookApp.token=`, in a shell line or a list.
    for option in [
        "ServerApp.token=",
        "NotebookApp.token=",
        "IdentityProvider.token=",
    ] {
        let empty = text.split(option).skip(1).any(|rest| {
            let rest = rest.trim_start_matches(['\'', '"']);
            rest.is_empty() || rest.starts_with(char::is_whitespace)
        });
        if empty {
            return Some("it starts Jupyter without a token: whoever opens it has a terminal in your namespace".into());
        }
    }
    if text.contains("--auth none") || text.contains("--auth=none") {
        return Some(
            "it starts with `--auth none`: whoever opens it has a terminal in your namespace"
                .into(),
        );
    }
    for variable in container.env.iter().flatten() {
        let value = variable.value.as_deref().unwrap_or_default();
        match variable.name.as_str() {
            "DISABLE_AUTH" if value.eq_ignore_ascii_case("true") => {
                return Some("it runs with DISABLE_AUTH=true: whoever opens it has a session in your namespace".into());
            }
            "JUPYTER_TOKEN" if value.is_empty() && variable.value_from.is_none() => {
                return Some(
                    "JUPYTER_TOKEN is empty: whoever opens it has a terminal in your namespace"
                        .into(),
                );
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::fingerprint::answered;

    fn containers(yaml: &str) -> Vec<Container> {
        serde_saphyr::from_str(yaml).expect("containers")
    }

    #[test]
    fn tools_and_notebooks_without_a_login_are_known() {
        for open in [
            "[{name: a, image: 'docker.io/library/adminer:4'}]",
            "[{name: a, image: jupyter/minimal-notebook, args: [start-notebook.sh, \"--NotebookApp.token=''\"]}]",
            "[{name: a, image: x, command: [jupyter, lab, '--ServerApp.token=']}]",
            "[{name: a, image: x, command: [sh, -c, \"jupyter lab --ServerApp.token='' --port 8888\"]}]",
            "[{name: a, image: codercom/code-server, args: [--auth, none]}]",
            "[{name: a, image: rocker/rstudio, env: [{name: DISABLE_AUTH, value: 'true'}]}]",
            "[{name: a, image: jupyter, env: [{name: JUPYTER_TOKEN, value: ''}]}]",
        ] {
            assert!(reason_against(&containers(open), None).is_some(), "{open}");
        }
        for closed in [
            "[{name: a, image: 'registry.example.test/shop/web:1'}]",
            "[{name: a, image: jupyter/minimal-notebook, args: ['--ServerApp.token=abc']}]",
            "[{name: a, image: jupyter, env: [{name: JUPYTER_TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}]}]",
        ] {
            assert_eq!(reason_against(&containers(closed), None), None, "{closed}");
        }
    }

    #[test]
    fn an_answer_tells_whether_jupyter_asks_for_a_login() {
        let redirect = |to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::LOCATION, to.parse().expect("a header"));
            answered(302, headers, "")
        };
        assert!(reason_against(&[], Some(&redirect("/lab?"))).is_some());
        assert!(reason_against(&[], Some(&redirect("/tree"))).is_some());
        assert!(reason_against(&[], Some(&redirect("/login?next=%2Flab"))).is_none());
        let page = |body: &str| answered(200, HeaderMap::new(), body);
        assert!(reason_against(&[], Some(&page("<title>JupyterLab</title>"))).is_some());
        assert!(
            reason_against(
                &[],
                Some(&page(
                    "<title>Jupyter Server</title><input id=password_input>"
                ))
            )
            .is_none()
        );
        assert!(reason_against(&[], Some(&page("<title>Shop</title>"))).is_none());
    }
}
