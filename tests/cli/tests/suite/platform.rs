//! Where apps are deployed and exposed: Alice's namespace on a platform with an ingress controller, names and a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fixtures;
use cli_tests::{ApiServer, Internet, Response, Run, Session};
use serde_json::Value;

use crate::registry::{self, RegistryImage};

/// Alice's namespace, on a platform whose other addresses are below `kub.example.test`.
pub struct Platform {
    pub server: ApiServer,
    pub internet: Internet,
    pub alice: Session,
}

/// A page as an app answers it.
pub fn page(title: &str) -> Response {
    let body = format!(
        "<!doctype html>\n<title>{title}</title>\n<h1>Welcome to {title}</h1>\n<p>All you need.\n"
    );
    Response::text(200, "text/html; charset=utf-8", body)
}

impl Platform {
    pub fn new() -> Self {
        let server = ApiServer::start();
        let internet = Internet::around(&server);
        server.default_ingress_class("traefik");
        server.put(fixtures::ingress(
            "grafana",
            "grafana.kub.example.test",
            "grafana",
        ));
        let image = |name, user, port| RegistryImage {
            name,
            user,
            port,
            architecture: "amd64",
        };
        registry::serve(
            &internet,
            "registry.example.test",
            vec![
                image("shop/web:1", "1000", Some("8000/tcp")),
                image("shop/web:2", "1000", Some("8000/tcp")),
                image("shop/root:1", "", None),
            ],
        );
        let mut alice = Session::alice(&server);
        alice.online(&internet);
        Self {
            server,
            internet,
            alice,
        }
    }

    /// With the app `web`, which listens on port 8000.
    pub fn with_web() -> Self {
        let platform = Self::new();
        platform.add("web", 8000);
        platform.server.program("web", 8000, |_| page("Shop"));
        platform
    }

    /// Without any app; one called `web` will listen on port 8000.
    pub fn for_web() -> Self {
        let platform = Self::new();
        platform.server.program("web", 8000, |_| page("Shop"));
        platform
    }

    /// Adds an app; nothing listens in it yet.
    pub fn add(&self, name: &str, port: u16) {
        for object in fixtures::app(name, port) {
            self.server.submit(object);
        }
    }

    /// The admission webhook of ingress-nginx is there: this host is already somebody else's.
    pub fn host_is_bobs(&self, host: &'static str) {
        self.server.script(move |request| {
            let writes = ["POST", "PUT", "PATCH"].contains(&request.method.as_str());
            let is_it = request.json()["spec"]["rules"][0]["host"] == host;
            let message = format!("admission webhook \"validate.nginx.ingress.kubernetes.io\" denied the request: host {host:?} and path \"/\" is already defined in ingress user-bob/shop");
            let refusal = || Response::status(400, "BadRequest", message, &Value::Null);
            (writes && is_it && request.path.contains("/ingresses")).then(refusal)
        });
    }

    /// As somebody else on the same platform.
    pub fn session(&self, token: &str) -> Session {
        let mut session = Session::with_token(&self.server, token);
        session.online(&self.internet);
        session
    }

    /// Runs `kubectl expose-app` as Alice.
    pub fn expose(&self, args: &[&str]) -> Run {
        self.alice.run("expose-app", args)
    }

    /// Runs `kubectl deploy-app` as Alice.
    pub fn deploy(&self, args: &[&str]) -> Run {
        self.alice.run("deploy-app", args)
    }

    /// Whether an Ingress is there. Whoever is stopped for too long between two looks at a host takes theirs back, and tries again.
    pub fn has_ingress(&self) -> Arc<AtomicBool> {
        let there = self.written();
        let seen = there.clone();
        self.server.script(move |request| {
            if request.method == "DELETE" && request.path.contains("/ingresses/") {
                seen.store(false, Ordering::Relaxed);
            }
            None
        });
        there
    }

    /// Whether an Ingress has been written.
    pub fn written(&self) -> Arc<AtomicBool> {
        let written = Arc::new(AtomicBool::new(false));
        let seen = written.clone();
        self.server.script(move |request| {
            if request.is_write() && request.path.ends_with("/ingresses") {
                seen.store(true, Ordering::Relaxed);
            }
            None
        });
        written
    }

    /// A run that fails and leaves nothing behind, not even for a moment.
    #[track_caller]
    pub fn refused(&self, args: &[&str]) -> Run {
        self.unwritten(self.expose(args))
    }

    /// The same of `kubectl deploy-app`.
    #[track_caller]
    pub fn not_deployed(&self, args: &[&str]) -> Run {
        self.unwritten(self.deploy(args))
    }

    /// Runs with each of these, all of which are refused as typed wrongly before anything is asked.
    #[track_caller]
    pub fn mistyped<'a>(
        run: fn(&Self, &[&str]) -> Run,
        args: impl IntoIterator<Item = Vec<&'a str>>,
    ) -> Vec<Run> {
        let platform = Self::new();
        let runs = args.into_iter().map(|args| {
            let run = run(&platform, &args);
            assert_eq!(run.code(), 2, "{run}");
            run
        });
        let runs = runs.collect();
        let asked = platform.server.requests();
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        assert_eq!(asked, [""; 0], "nothing is asked");
        runs
    }

    #[track_caller]
    fn unwritten(&self, run: Run) -> Run {
        assert_ne!(run.code(), 0, "{run}");
        assert_eq!(self.server.writes(), [""; 0], "{run}");
        run
    }
}
