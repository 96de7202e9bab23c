//! What a database speaks, and how that shows from outside.

use serde::Serialize;

/// What a database speaks, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// `PostgreSQL` and what speaks like it.
    Postgres,
    /// `MySQL`, `MariaDB` and what speaks like them.
    Mysql,
    /// Redis, Valkey and what speaks like them.
    Redis,
    /// `MongoDB` and what speaks like it.
    Mongodb,
    /// What answers to HTTP: Elasticsearch, `OpenSearch`, `ClickHouse`.
    Http,
    /// Anything else with a TCP port.
    Other,
}

/// Each protocol with its name, the ports by which it is known, and how the images of its servers are called.
const KNOWN: [(Protocol, &str, &[u16], &[&str]); 5] = [
    (
        Protocol::Postgres,
        "postgres",
        &[5432],
        &["postgres", "postgis", "timescaledb", "pgvector"],
    ),
    (
        Protocol::Mysql,
        "mysql",
        &[3306],
        &["mysql", "mariadb", "percona-server"],
    ),
    (
        Protocol::Redis,
        "redis",
        &[6379],
        &["redis", "valkey", "keydb"],
    ),
    (
        Protocol::Mongodb,
        "mongodb",
        &[27017],
        &["mongo", "ferretdb"],
    ),
    (
        Protocol::Http,
        "http",
        &[9200, 8123],
        &["elasticsearch", "opensearch", "clickhouse"],
    ),
];

/// Ports of databases that speak what is not known here: SQL Server, Cassandra.
const OTHER_PORTS: [u16; 2] = [1433, 9042];

impl Protocol {
    /// As it stands in a card: `postgres`, `mysql`, `redis`, `mongodb`, `http` or `other`.
    pub fn as_str(self) -> &'static str {
        KNOWN
            .iter()
            .find(|(protocol, ..)| *protocol == self)
            .map_or("other", |(_, name, ..)| name)
    }

    /// Read back from a card; what is not known is `other`.
    pub fn named(name: &str) -> Self {
        KNOWN
            .iter()
            .find(|(_, known, ..)| *known == name)
            .map_or(Self::Other, |(protocol, ..)| *protocol)
    }

    /// What is spoken at a well-known port.
    pub fn at_port(port: u16) -> Option<Self> {
        KNOWN
            .iter()
            .find(|(_, _, ports, _)| ports.contains(&port))
            .map(|(protocol, ..)| *protocol)
            .or_else(|| OTHER_PORTS.contains(&port).then_some(Self::Other))
    }

    /// The port at which its servers listen where nothing else is said, if they all have the same.
    pub fn usual_port(self) -> Option<u16> {
        let known = KNOWN.iter().find(|(protocol, ..)| *protocol == self);
        match known {
            Some((_, _, [port], _)) => Some(*port),
            _ => None,
        }
    }

    /// What the server of an image speaks; nothing for exporters, poolers and administration pages.
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.rsplit('/').next().unwrap_or_default();
        if ["exporter", "express", "admin", "commander", "backup"]
            .iter()
            .any(|word| name.contains(word))
        {
            return None;
        }
        KNOWN
            .iter()
            .find(|(.., images)| images.iter().any(|start| name.starts_with(start)))
            .map(|(protocol, ..)| *protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_known_by_name_port_and_image() {
        for (protocol, name, ports, _) in KNOWN {
            assert_eq!(Protocol::named(name), protocol);
            assert_eq!(protocol.as_str(), name);
            assert!(
                ports
                    .iter()
                    .all(|port| Protocol::at_port(*port) == Some(protocol))
            );
        }
        assert_eq!(Protocol::named("what"), Protocol::Other);
        assert_eq!(Protocol::at_port(9042), Some(Protocol::Other));
        assert_eq!(Protocol::at_port(9187), None);
    }

    #[test]
    fn exporters_are_no_databases() {
        for (image, protocol) in [
            ("docker.io/library/postgres:15", Some(Protocol::Postgres)),
            ("bitnami/postgresql:16.2.0", Some(Protocol::Postgres)),
            ("bitnami/postgres-exporter:0.15", None),
            ("mongo-express:1", None),
            ("mariadb:11", Some(Protocol::Mysql)),
            ("mongo:7", Some(Protocol::Mongodb)),
            ("nginx", None),
        ] {
            assert_eq!(Protocol::of_image(image), protocol, "{image}");
        }
    }
}
