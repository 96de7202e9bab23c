//! What is inside the tunnel's messages.
//!
//! The channel protocol (`v4.channel.k8s.io`, defined by k8s.io/apiserver's `wsstream` and the kubelet's
//! `portforward/websocket.go`) puts a channel's number before the bytes of each binary message: for one port, 0 is data and
//! 1 is error text. The node's first two bytes on either channel are the port, little end first. All this comes from outside
//! and is believed nothing.

use std::fmt;

use bytes::Bytes;

/// The channel's number on messages that carry data; ours have it too.
pub(super) const DATA: u8 = 0;
const ERROR: u8 = 1;
/// Says, from version 5 of the protocol on, that a channel has ended; its number follows.
const CLOSED: u8 = 255;

/// What one message holds for us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes for the local client.
    Data(Bytes),
    /// A piece of what went wrong on the node.
    Error(Bytes),
    /// The pod will send no more data.
    End,
    /// Nothing: a port, or an empty message.
    Nothing,
}

/// A message that no Kubernetes node sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Of a channel that was not asked for.
    Channel(u8),
    /// For another port than was asked for.
    Port,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(number) => {
                write!(f, "a message came on channel {number}, which is not in use")
            }
            Self::Port => f.write_str("a channel does not begin with the port that was asked for"),
        }
    }
}

/// Takes messages apart.
#[derive(Debug)]
pub(super) struct Channels {
    port: [u8; 2],
    /// How many bytes of the port have come, for data and error.
    seen: [usize; 2],
}

impl Channels {
    /// For a tunnel to this port.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port: port.to_le_bytes(),
            seen: [0, 0],
        }
    }

    /// The meaning of the next message.
    ///
    /// # Errors
    /// See [`Malformed`]; nothing that follows can be relied on then.
    pub(super) fn take(&mut self, mut message: Bytes) -> Result<Part, Malformed> {
        let Some(&number) = message.first() else {
            return Ok(Part::Nothing);
        };
        let mut rest = message.split_off(1);
        let seen = match number {
            DATA => &mut self.seen[0],
            ERROR => &mut self.seen[1],
            CLOSED => {
                return Ok(if rest.first() == Some(&DATA) {
                    Part::End
                } else {
                    Part::Nothing
                });
            }
            other => return Err(Malformed::Channel(other)),
        };
        let missing = &self.port[*seen..];
        let begins = rest.split_to(missing.len().min(rest.len()));
        if !missing.starts_with(&begins) {
            return Err(Malformed::Port);
        }
        *seen += begins.len();
        Ok(match number {
            _ if rest.is_empty() => Part::Nothing,
            DATA => Part::Data(rest),
            _ => Part::Error(rest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(channels: &mut Channels, message: &'static [u8]) -> Result<Part, Malformed> {
        channels.take(Bytes::from_static(message))
    }

    #[test]
    fn takes_what_a_node_sends() {
        let mut channels = Channels::new(5432);
        assert_eq!(take(&mut channels, &[0, 0x38, 0x15]), Ok(Part::Nothing));
        assert_eq!(take(&mut channels, &[1, 0x38, 0x15]), Ok(Part::Nothing));
        assert_eq!(
            take(&mut channels, &[0, 1, 2, 3]),
            Ok(Part::Data(Bytes::from_static(&[1, 2, 3])))
        );
        assert_eq!(
            take(&mut channels, b"\x01no"),
            Ok(Part::Error(Bytes::from_static(b"no")))
        );
        assert_eq!(take(&mut channels, &[0]), Ok(Part::Nothing));
        assert_eq!(take(&mut channels, &[]), Ok(Part::Nothing));
        assert_eq!(take(&mut channels, &[255, 0]), Ok(Part::End));
    }

    #[test]
    fn the_port_may_come_in_pieces_or_together_with_data() {
        let mut channels = Channels::new(5432);
        assert_eq!(take(&mut channels, &[0, 0x38]), Ok(Part::Nothing));
        assert_eq!(take(&mut channels, &[0]), Ok(Part::Nothing));
        assert_eq!(
            take(&mut channels, &[0, 0x15, 7]),
            Ok(Part::Data(Bytes::from_static(&[7])))
        );
        assert_eq!(
            take(&mut channels, &[1, 0x38, 0x15, b'x']),
            Ok(Part::Error(Bytes::from_static(b"x")))
        );
    }

    #[test]
    fn refuses_what_was_not_asked_for() {
        assert_eq!(
            take(&mut Channels::new(5432), &[0, 0x39]),
            Err(Malformed::Port)
        );
        assert_eq!(
            take(&mut Channels::new(5432), &[2, 0x38, 0x15]),
            Err(Malformed::Channel(2))
        );
        assert_eq!(
            take(&mut Channels::new(5432), b"HTTP/1.1 200 OK"),
            Err(Malformed::Channel(b'H'))
        );
    }

    /// Whatever comes, nothing panics, and however a node cuts its bytes, the same data come out.
    #[test]
    fn any_cut_gives_the_same_data() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).expect("31 bits fit") % below
        };
        for _ in 0..2000 {
            let data: Vec<u8> = (0..random(40))
                .map(|_| u8::try_from(random(256)).expect("a byte"))
                .collect();
            let mut sent: Vec<u8> = 443_u16.to_le_bytes().to_vec();
            sent.extend(&data);
            let mut channels = Channels::new(443);
            let mut received = Vec::new();
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(random(5).min(rest.len()));
                rest = later;
                match channels.take([&[DATA], now].concat().into()) {
                    Ok(Part::Data(data)) => received.extend(data),
                    Ok(Part::Nothing) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(received, data);

            let mut channels = Channels::new(443);
            for _ in 0..20 {
                let noise: Vec<u8> = (0..random(6))
                    .map(|_| {
                        u8::try_from(random(256)).expect("a byte")
                            & if random(2) == 0 { 1 } else { 255 }
                    })
                    .collect();
                let length = noise.len();
                if let Ok(Part::Data(part) | Part::Error(part)) = channels.take(noise.into()) {
                    assert!(part.len() < length, "no byte is invented");
                }
            }
        }
    }
}
