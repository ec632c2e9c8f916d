//! Asks systemd whether it is just ending a whole unit: then every process of it gets the signal that alumet has got.
//!
//! Over D-Bus, as `systemctl show` does, and without a child that could be taken for the application's. The protocol:
//! <https://dbus.freedesktop.org/doc/dbus-specification.html>; the properties: org.freedesktop.systemd1(5).

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use alumet::unit::Unit;
use nix::unistd::Uid;

/// It answers in a millisecond or two.
const PATIENCE: Duration = Duration::from_millis(300);
const MANAGER: &str = "org.freedesktop.systemd1";

/// Whether a signal from this sender to this process went to `pid`, too: the sender is the manager of the unit that both are
/// in, and it is stopping the unit with a signal to everybody (`KillMode=control-group`, systemd.kill(5)). `false` also if
/// nobody answers.
pub fn sent_to_all(sender: i32, pid: i32) -> bool {
    let Some(unit) = Unit::own().filter(|own| Unit::of_process(pid).as_ref() == Some(own)) else {
        return false;
    };
    is_manager(sender, &unit) && stops_all(&unit).unwrap_or(false)
}

/// That of the machine is process 1, and a user's is its child.
fn is_manager(pid: i32, unit: &Unit) -> bool {
    let is_systemd =
        || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "systemd\n");
    if unit.of_user { pid != 1 && is_systemd() } else { pid == 1 }
}

fn stops_all(unit: &Unit) -> io::Result<bool> {
    let mut bus = Bus::connect(unit.of_user)?;
    let object = object(&unit.name);
    let kind = if unit.name.ends_with(".scope") { "Scope" } else { "Service" };
    let mode = bus.property(&object, &format!("{MANAGER}.{kind}"), "KillMode")?;
    let state = bus.property(&object, &format!("{MANAGER}.Unit"), "SubState")?;
    let is_killing = ["stop-sig", "stop-watchdog", "final-sig"].iter().any(|start| state.starts_with(start));
    Ok(mode == "control-group" && is_killing)
}

/// The object of a unit: each byte that is no letter or digit as `_` with its number.
fn object(name: &str) -> String {
    let escaped = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("_{byte:02x}"),
    });
    format!("/org/freedesktop/systemd1/unit/{}", escaped.collect::<String>())
}

/// A connection to a message bus.
struct Bus {
    stream: UnixStream,
    serial: u32,
}

impl Bus {
    fn connect(of_user: bool) -> io::Result<Self> {
        let uid = Uid::effective();
        let path: PathBuf = match of_user {
            true => format!("/run/user/{uid}/bus").into(),
            false => "/run/dbus/system_bus_socket".into(),
        };
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let id: String = uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {id}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        if !answer.starts_with(b"OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        stream.write_all(b"BEGIN\r\n")?;
        let mut bus = Self { stream, serial: 0 };
        let name = "org.freedesktop.DBus";
        bus.call(name, "/org/freedesktop/DBus", name, "Hello", &[])?;
        Ok(bus)
    }

    /// A property that is a string.
    fn property(&mut self, object: &str, interface: &str, name: &str) -> io::Result<String> {
        let properties = "org.freedesktop.DBus.Properties";
        let body = self.call(MANAGER, object, properties, "Get", &[interface, name])?;
        // A variant: its signature, and at the next multiple of four the string with its length.
        let text = body.strip_prefix(b"\x01s\0\0").and_then(|rest| {
            let (length, text) = rest.split_first_chunk()?;
            text.get(..u32::from_le_bytes(*length) as usize)
        });
        text.and_then(|text| String::from_utf8(text.to_vec()).ok()).ok_or_else(malformed)
    }

    /// Returns the body of the reply.
    fn call(
        &mut self,
        to: &str,
        object: &str,
        interface: &str,
        member: &str,
        strings: &[&str],
    ) -> io::Result<Vec<u8>> {
        self.serial += 1;
        self.stream.write_all(&message(self.serial, to, object, interface, member, strings))?;
        loop {
            let mut head = [0; 16];
            self.stream.read_exact(&mut head)?;
            let number =
                |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            let (body, fields) = (number(4), number(12).next_multiple_of(8));
            // Whoever speaks in the other order of bytes, or without end, is not understood.
            if head[0] != b'l' || body > 1 << 16 || fields > 1 << 16 {
                return Err(malformed());
            }
            let mut rest = vec![0; fields + body];
            self.stream.read_exact(&mut rest)?;
            match head[1] {
                2 => return Ok(rest.split_off(fields)),
                3 => return Err(io::ErrorKind::NotFound.into()),
                // A signal, such as that there is a name now.
                _ => {}
            }
        }
    }
}

/// A method call whose arguments are strings.
fn message(serial: u32, to: &str, object: &str, interface: &str, member: &str, strings: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    strings.iter().for_each(|text| string(&mut body, text));
    let mut fields = Vec::new();
    for (code, kind, text) in [(1, b'o', object), (2, b's', interface), (3, b's', member), (6, b's', to)] {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        string(&mut fields, text);
    }
    if !strings.is_empty() {
        pad(&mut fields, 8);
        fields.extend([8, 1, b'g', 0, strings.len() as u8]);
        fields.extend(strings.iter().map(|_| b's'));
        fields.push(0);
    }
    // Little-endian, a call, no flags, version 1.
    let mut message = vec![b'l', 1, 0, 1];
    for number in [body.len() as u32, serial, fields.len() as u32] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

fn string(out: &mut Vec<u8>, text: &str) {
    pad(out, 4);
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no reply that can be understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_found_by_its_name() {
        assert_eq!(object("my-app@1.service"), "/org/freedesktop/systemd1/unit/my_2dapp_401_2eservice");
    }

    #[test]
    fn a_message_is_laid_out_as_the_bus_wants_it() {
        let message = message(7, "a.b", "/o", "i.f", "Get", &["x", "yz"]);
        let number = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((&message[..4], number(8)), (&[b'l', 1, 0, 1][..], 7));
        let body = 16 + number(12).next_multiple_of(8);
        assert_eq!(message.len(), body + number(4));
        assert_eq!(&message[16..26], b"\x01\x01o\0\x02\0\0\0/o");
        assert_eq!(&message[body..], b"\x01\0\0\0x\0\0\0\x02\0\0\0yz\0");
    }
}
