//! No API server there, or something else, or one that cannot be trusted.

use cli_tests::{ApiServer, Authority, Response, Session, http::Server, odd};

/// The address under which every server is shown.
const SHOWN: &str = "127.0.0.1:6443";

fn at(server: &Server) -> Session {
    Session::at(&format!("http://{}", server.address), SHOWN)
}

#[test]
fn nothing_listens() {
    let closed = odd::closed();
    let session = Session::at(&format!("https://{}", closed.address), SHOWN);
    snapshot!(session.share_db(["list"]));
}

#[test]
fn no_answer_in_time() {
    let server = odd::silent();
    snapshot!(at(&server).share_db(["list", "--request-timeout", "1s"]));
}

/// The connection is taken, the TLS handshake never answered.
#[test]
fn no_handshake_in_time() {
    let server = odd::silent();
    let session = Session::at(&format!("https://{}", server.address), SHOWN);
    snapshot!(session.share_db(["list", "--request-timeout", "1s"]));
}

#[test]
fn closes_at_once() {
    let server = odd::closing();
    snapshot!(at(&server).share_db(["list"]));
}

/// As a load balancer without a backend does.
#[test]
fn closes_at_once_in_tls() {
    let server = odd::closing();
    let session = Session::at(&format!("https://{}", server.address), SHOWN);
    snapshot!(session.share_db(["list"]));
}

#[test]
fn resets_the_connection() {
    let server = odd::resetting();
    let tls = Session::at(&format!("https://{}", server.address), SHOWN);
    snapshot!(at(&server).share_db(["list"]), tls.share_db(["list"]));
}

#[test]
fn closes_in_the_middle() {
    let server =
        odd::saying(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"kind\":");
    snapshot!(at(&server).share_db(["list"]));
}

#[test]
fn speaks_no_http() {
    let server = odd::saying(b"SSH-2.0-OpenSSH_9.2\r\n");
    snapshot!(at(&server).share_db(["list"]));
}

/// A captive portal, or the login page of a gateway.
#[test]
fn a_login_page() {
    let server = ApiServer::start();
    server.on("*", "*", || {
        Response::text(
            200,
            "text/html",
            "<!doctype html><html><title>Log in</title></html>",
        )
    });
    snapshot!(Session::alice(&server).share_db(["list"]));
}

/// A gateway that sends whoever has no cookie to another page.
#[test]
fn a_redirection_to_a_login_page() {
    let server = ApiServer::start();
    server.on("*", "*", || {
        Response::text(
            302,
            "text/html",
            "<a href='https://sso.example.test/'>Found</a>",
        )
        .header("location", "https://sso.example.test/")
    });
    snapshot!(Session::alice(&server).share_db(["list"]));
}

#[test]
fn json_that_is_no_list() {
    let server = ApiServer::start();
    server.on("*", "*", || {
        Response::text(200, "application/json", "{\"hello\": \"world\"}")
    });
    snapshot!(Session::alice(&server).share_db(["list"]));
}

/// A load balancer whose API servers are all down.
#[test]
fn a_gateway_error() {
    let server = ApiServer::start();
    server.on("*", "*", || {
        Response::text(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>")
    });
    snapshot!(Session::alice(&server).share_db(["list"]));
}

#[test]
fn a_name_that_does_not_exist() {
    // No label of a DNS name is that long, so that no name server is asked.
    let host = format!("{}.invalid", "x".repeat(70));
    let session = Session::at(&format!("http://{host}:6443"), "kube.example.invalid:6443");
    snapshot!(session.share_db(["list"]));
}

#[test]
fn tls_where_http_is_expected() {
    let server = ApiServer::start_tls(Authority::default().server("127.0.0.1"));
    let session = Session::at(&format!("http://{}", server.authority()), SHOWN);
    snapshot!(session.share_db(["pg", "--with", "bob"]));
}

#[test]
fn http_where_tls_is_expected() {
    let server = ApiServer::start_in_the_clear();
    let session = Session::at(&format!("https://{}", server.authority()), SHOWN);
    snapshot!(session.share_db(["list"]));
}

/// A kubeconfig that trusts this authority.
fn trusting(server: &ApiServer, authority: &Authority) -> Session {
    let session = Session::alice(server);
    let file = session.write("ca.crt", authority.pem());
    let cluster = format!(
        "server: '{}', certificate-authority: '{}'",
        server.url(),
        file.display()
    );
    let text = cli_tests::run::kubeconfig(&server.url(), "alice-token")
        .replace(&format!("server: '{}'", server.url()), &cluster);
    session.kubeconfig(&text);
    session
}

#[test]
fn tls_by_a_trusted_authority() {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.server("127.0.0.1"));
    let run = trusting(&server, &authority).share_db(["list"]).success();
    snapshot!(run);
}

#[test]
fn tls_by_an_unknown_authority() {
    let server = ApiServer::start_tls(Authority::default().server("127.0.0.1"));
    let trusting = trusting(&server, &Authority::default());
    let nobody = Session::alice(&server);
    snapshot!(trusting.share_db(["list"]), nobody.share_db(["list"]));
}

#[test]
fn tls_unchecked_when_asked_for() {
    let server = ApiServer::start_tls(Authority::default().server("127.0.0.1"));
    let run = Session::alice(&server).share_db(["list", "--insecure-skip-tls-verify"]);
    snapshot!(run.success());
}

#[test]
fn tls_with_an_expired_certificate() {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.expired_server("127.0.0.1"));
    snapshot!(trusting(&server, &authority).share_db(["list"]));
}

#[test]
fn tls_for_another_name() {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.server("kube.example.test"));
    let session = trusting(&server, &authority);
    let named = session.share_db(["list", "--tls-server-name", "kube.example.test"]);
    snapshot!(session.share_db(["list"]), named.success());
}

#[test]
fn the_authority_of_a_flag() {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.server("127.0.0.1"));
    let session = Session::alice(&server);
    session.write("ca.crt", authority.pem());
    session.write("not.crt", "hello");
    let run = |file| session.share_db(["list", "--certificate-authority", file]);
    snapshot!(run("ca.crt").success(), run("not.crt"), run("nowhere.crt"));
}

/// Far away, and to be reached through this proxy only.
fn behind(proxy: &str) -> Session {
    let mut session = Session::at("https://192.0.2.1:6443", "192.0.2.1:6443");
    session.env("HTTPS_PROXY", proxy);
    session
}

#[test]
fn a_proxy_that_is_away() {
    let closed = odd::closed();
    let proxy = closed.address.to_string();
    let mut session = behind(&format!("http://{proxy}"));
    session.hide(&proxy, "127.0.0.1:3128");
    snapshot!(session.share_db(["list"]));
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let closed = odd::closed();
    let server = ApiServer::start();
    let mut session = Session::alice(&server);
    session.env("HTTPS_PROXY", format!("http://{}", closed.address));
    let _ = session.share_db(["list"]).success();
}

#[test]
fn a_proxy_that_refuses() {
    let proxy =
        odd::saying(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let mut session = behind(&format!("http://{}", proxy.address));
    session.hide(&proxy.address.to_string(), "127.0.0.1:3128");
    snapshot!(session.share_db(["list"]));
}

#[test]
fn a_proxy_that_is_no_address() {
    let session = Session::new();
    let url = "https://192.0.2.1:6443";
    let named = format!("server: '{url}', proxy-url: 'ftp://me:s3cr3t@proxy.example.test'");
    let text = cli_tests::run::kubeconfig(url, "alice-token");
    session.kubeconfig(&text.replace(&format!("server: '{url}'"), &named));
    snapshot!(session.share_db(["list"]));
}

/// In the clear, everybody on the way would have them; kubectl sends none either.
#[test]
fn credentials_are_not_sent_in_the_clear() {
    let server = ApiServer::start_in_the_clear();
    let session = Session::at(&server.url(), SHOWN);
    let run = session.share_db(["list"]);
    for request in server.requests() {
        assert_eq!(request.header("authorization"), None);
    }
    snapshot!(run);
}

/// The authority in the kubeconfig is no certificate.
#[test]
fn tls_by_an_authority_that_is_none() {
    let server = ApiServer::start_tls(Authority::default().server("127.0.0.1"));
    let session = Session::alice(&server);
    let text = cli_tests::run::kubeconfig(&server.url(), "alice-token");
    let cluster = |more: &str| {
        let from = format!("server: '{}'", server.url());
        session.kubeconfig(&text.replace(&from, &format!("{from}, {more}")));
        session.share_db(["list"])
    };
    session.write(".kube/not.crt", "hello");
    snapshot!(
        cluster("certificate-authority-data: aGVsbG8="),
        cluster("certificate-authority: not.crt"),
    );
}
