//! Certificates in order and otherwise.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

pub(super) struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "test authority");
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            der,
        }
    }

    /// A client that trusts this authority alone.
    pub(super) fn client(&self) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::ring::default_provider()),
        )
        .build()
        .unwrap();
        Client {
            trust: Trust::by(verifier),
            ..client(LIMIT)
        }
    }

    /// A server of this name that answers one request; what it was asked, or nothing if there was no handshake.
    pub(super) async fn serve(
        &self,
        name: &str,
        from: i32,
        to: i32,
    ) -> (SocketAddr, JoinHandle<Option<String>>) {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        serve(leaf.der().clone(), &key).await
    }
}

async fn serve(
    certificate: CertificateDer<'static>,
    key: &rcgen::KeyPair,
) -> (SocketAddr, JoinHandle<Option<String>>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config))
            .accept(stream)
            .await
            .ok()?;
        let asked = head(&mut stream).await;
        stream.write_all(OK).await.ok()?;
        stream.shutdown().await.ok()?;
        Some(asked).filter(|asked| !asked.is_empty())
    });
    (address, server)
}

#[tokio::test]
async fn a_certificate_in_order_is_shown_with_the_answer() {
    let authority = Authority::new();
    let (address, server) = authority.serve("app.example", 2020, 2100).await;
    let answer = authority
        .client()
        .to(address)
        .get(&uri("https://app.example/"), &[])
        .await
        .unwrap();
    let certificate = answer.certificate.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(certificate.names, ["app.example"]);
    assert_eq!(certificate.issuer, "test authority");
    assert_eq!(certificate.not_after.to_string(), "2100-01-01T00:00:00Z");
    assert!(
        server
            .await
            .unwrap()
            .unwrap()
            .contains("host: app.example\r\n")
    );
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_shown_too_and_nothing_is_sent() {
    let authority = Authority::new();
    for (name, from, to, wrong) in [
        ("other.example", 2020, 2100, TlsFailure::NotForThisName),
        ("app.example", 2020, 2021, TlsFailure::Expired),
        ("app.example", 2090, 2100, TlsFailure::NotYetValid),
    ] {
        let (address, server) = authority.serve(name, from, to).await;
        let trouble = authority
            .client()
            .to(address)
            .get(&uri("https://app.example/"), &[])
            .await
            .unwrap_err();
        let HttpFailure::Tls { why, certificate } = trouble else {
            panic!("{trouble:?}");
        };
        assert_eq!(why, wrong);
        assert_eq!(certificate.unwrap().names, [name]);
        assert_eq!(server.await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn who_is_trusted_by_nobody_is_told() {
    let stranger = Authority::new();
    let (address, _server) = stranger.serve("app.example", 2020, 2100).await;
    let trouble = Authority::new()
        .client()
        .to(address)
        .get(&uri("https://app.example/"), &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            &trouble,
            HttpFailure::Tls { why: TlsFailure::UnknownIssuer, certificate: Some(certificate) }
                if certificate.issuer == "test authority" && !certificate.self_signed
        ),
        "{trouble:?}"
    );

    // As controllers make it for themselves.
    for authority in [false, true] {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["app.example".to_owned()]).unwrap();
        if authority {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let (address, _server) = serve(params.self_signed(&key).unwrap().der().clone(), &key).await;
        let trouble = stranger
            .client()
            .to(address)
            .get(&uri("https://app.example/"), &[])
            .await
            .unwrap_err();
        assert!(
            matches!(
                &trouble,
                HttpFailure::Tls { why: TlsFailure::UnknownIssuer, certificate: Some(certificate) }
                    if certificate.self_signed
            ),
            "{trouble:?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told() {
    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        head(&mut stream).await;
    });
    let trouble = client(LIMIT)
        .get(&uri(format!("https://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(trouble.to_string(), "what answers there does not speak TLS");

    let (listener, address) = listen().await;
    let _server = tokio::spawn(async move { drop(listener.accept().await) });
    let trouble = client(LIMIT)
        .get(&uri(format!("https://{address}/")), &[])
        .await
        .unwrap_err();
    assert_eq!(
        trouble.to_string(),
        "it closed the connection during the TLS handshake"
    );
}

// Proxies.
