//! What the kernel says of its performance monitoring units (PMUs) in `/sys/bus/event_source/devices`.
//!
//! Formats: Documentation/ABI/testing/sysfs-bus-event_source-devices, -format and -events in the kernel's tree.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use alumet::{Host, cpu_list, sysfs};

use super::Attr;

/// A file of a PMU that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {}", path.display(), alumet::file::reason(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not look as it should.
    #[error("{} is not in the expected form: `{text}`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is in it.
        text: String,
    },
}

/// A PMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pmu {
    /// `cpu`, `power`, `uncore_imc_0`, ...
    pub name: String,
    /// Its number, for `perf_event_attr::type`.
    pub type_: u32,
    is_core: bool,
    dir: PathBuf,
}

impl Pmu {
    /// All PMUs of the machine, in the order of their numbers. None where the kernel has no perf events.
    pub fn all(host: &Host) -> Result<Vec<Self>, Error> {
        // Each event asks for them.
        static HERE: OnceLock<Vec<Pmu>> = OnceLock::new();
        let dir = host.pmus();
        if dir != Path::new("/sys/bus/event_source/devices") {
            return Self::below(&dir);
        }
        let pmus = HERE.get().cloned().map_or_else(|| Self::below(&dir), Ok)?;
        Ok(HERE.get_or_init(|| pmus).clone())
    }

    fn below(dir: &Path) -> Result<Vec<Self>, Error> {
        let mut pmus = Vec::new();
        for name in list(dir)? {
            let dir = dir.join(&name);
            if let Some(type_) = read(&dir.join("type"), |text| text.parse().ok())? {
                let is_core = name == "cpu" || dir.join("cpus").exists();
                pmus.push(Self { name, type_, is_core, dir });
            }
        }
        pmus.sort_by(|a, b| (a.type_, &a.name).cmp(&(b.type_, &b.name)));
        Ok(pmus)
    }

    /// Whether it belongs to the cores of some or all CPUs, and so counts for a process. Where there are, or could be,
    /// several types of cores, a file tells the CPUs.
    pub fn is_core(&self) -> bool {
        self.is_core
    }

    /// Whether `name` stands for this PMU as one of many of its kind: `imc` and `uncore_imc` for `uncore_imc_0`.
    pub fn is_one_of(&self, name: &str) -> bool {
        let plain = self.name.strip_prefix("uncore_").unwrap_or(&self.name);
        [self.name.as_str(), plain].into_iter().filter_map(|own| own.strip_prefix(name)).any(|rest| {
            let digits = rest.strip_prefix('_').unwrap_or_default();
            rest.is_empty() || !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        })
    }

    /// Where to count with a PMU that counts the whole machine (one of its CPUs for each socket, say). `None`: it
    /// counts for a process.
    pub fn cpumask(&self) -> Result<Option<Vec<u32>>, Error> {
        if self.is_core() { Ok(None) } else { read(&self.dir.join("cpumask"), cpu_list) }
    }

    /// The names of its events.
    pub fn events(&self) -> Result<Vec<String>, Error> {
        const OF_AN_EVENT: [&str; 4] = [".scale", ".unit", ".per-pkg", ".snapshot"];
        let mut names = list(&self.dir.join("events"))?;
        names.retain(|name| !OF_AN_EVENT.iter().any(|end| name.ends_with(end)));
        Ok(names)
    }

    /// The names of its fields.
    pub fn fields(&self) -> Result<Vec<String>, Error> {
        list(&self.dir.join("format"))
    }

    /// The event of this name.
    pub fn event(&self, name: &str) -> Result<Option<Named>, Error> {
        let path = self.dir.join("events").join(name);
        let Some(terms) = read(&path, terms)? else { return Ok(None) };
        let beside = |end| path.with_file_name(format!("{name}{end}"));
        let scale = read(&beside(".scale"), |text| {
            text.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
        })?;
        let (unit, factor) =
            read(&beside(".unit"), |text| Some(unit(text)))?.unwrap_or((Cow::Borrowed("1"), 1.0));
        Ok(Some(Named { terms, unit, scale: scale.unwrap_or(1.0) * factor }))
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Result<Option<Field>, Error> {
        match Field::whole(name) {
            Some(field) => Ok(Some(field)),
            None => read(&self.dir.join("format").join(name), Field::parse),
        }
    }
}

/// An event that the kernel has a name for.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Fields and their values; `None`: to be given by the user (`core=?`).
    pub terms: Vec<(String, Option<u64>)>,
    /// UCUM code.
    pub unit: Cow<'static, str>,
    /// Count × scale = value in `unit`.
    pub scale: f64,
}

/// Bits of one of the words of [`Attr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// `config`, `config1`, ...
    word: usize,
    bits: u64,
}

impl Field {
    const WORDS: [&str; 4] = ["config", "config1", "config2", "config3"];

    fn whole(word: &str) -> Option<Self> {
        Self::WORDS.iter().position(|name| *name == word).map(|word| Self { word, bits: u64::MAX })
    }

    /// `config:0-7,32-35`: words and bits, where one bit stands for itself.
    fn parse(text: &str) -> Option<Self> {
        let (word, ranges) = text.split_once(':')?;
        let mut field = Self { bits: 0, ..Self::whole(word)? };
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
            if first > last || last > 63 {
                return None;
            }
            field.bits |= u64::MAX >> (63 - (last - first)) << first;
        }
        Some(field)
    }

    /// How many bits it has.
    pub fn width(self) -> u32 {
        self.bits.count_ones()
    }

    /// Writes a value into the field, its lowest bit into the lowest of the field; false if it is too large.
    #[must_use]
    pub fn set(self, attr: &mut Attr, mut value: u64) -> bool {
        let word = match self.word {
            0 => &mut attr.config,
            1 => &mut attr.config1,
            2 => &mut attr.config2,
            _ => &mut attr.config3,
        };
        *word &= !self.bits;
        let mut bits = self.bits;
        while bits != 0 && value != 0 {
            *word |= (value & 1) << bits.trailing_zeros();
            value >>= 1;
            bits &= bits - 1;
        }
        value == 0
    }
}

/// `event=0x02,umask=0x01,inv,core=?`
fn terms(text: &str) -> Option<Vec<(String, Option<u64>)>> {
    let term = |term: &str| {
        let (name, value) = term.split_once('=').unwrap_or((term, "1"));
        let value = match value {
            "?" => None,
            value => Some(super::spec::Number::parse(value)?.value),
        };
        Some((name.to_owned(), value))
    };
    text.split(',').map(term).collect()
}

/// UCUM code of a unit that the kernel writes, and the factor to it.
fn unit(text: &str) -> (Cow<'static, str>, f64) {
    let (unit, factor) = match text {
        "Joules" => ("J", 1.0),
        "Watts" => ("W", 1.0),
        "ns" => ("s", 1e-9),
        "Bytes" | "bytes" => ("By", 1.0),
        "KiB" => ("By", 1024.0),
        "MiB" => ("By", 1_048_576.0),
        "GiB" => ("By", 1_073_741_824.0),
        "" => ("1", 1.0),
        // UCUM's annotations are of printable ASCII characters without braces.
        other if other.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'{' | b'}')) => {
            return (Cow::Owned(format!("{{{other}}}")), 1.0);
        }
        _ => ("1", 1.0),
    };
    (Cow::Borrowed(unit), factor)
}

/// What a file says; `None` if it is not there.
fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
    let text = match sysfs::read_all(path) {
        Ok(text) => text,
        Err(source) if is_absent(&source) => return Ok(None),
        Err(source) => return Err(Error::Unreadable { path: path.into(), source }),
    };
    let text = text.trim();
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::Malformed { path: path.into(), text: text.escape_debug().to_string() }),
    }
}

/// The names in a directory, sorted; none if it is not there.
fn list(dir: &Path) -> Result<Vec<String>, Error> {
    let names = fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
    });
    match names {
        Ok(mut names) => {
            names.sort();
            Ok(names)
        }
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(source) => Err(Error::Unreadable { path: dir.into(), source }),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pmu(name: &str) -> Pmu {
        Pmu { name: name.into(), type_: 0, is_core: false, dir: "/nowhere".into() }
    }

    fn set(format: &str, value: u64) -> Option<Attr> {
        let mut attr = Attr::default();
        Field::parse(format).unwrap().set(&mut attr, value).then_some(attr)
    }

    #[test]
    fn a_value_fills_the_bits_of_its_field_from_the_lowest() {
        assert_eq!(set("config:0-7", 0xab), Some(Attr { config: 0xab, ..Attr::default() }));
        assert_eq!(
            set("config:0-7,32-35", 0xfab),
            Some(Attr { config: 0xf_0000_00ab, ..Attr::default() }),
            "AMD's event numbers"
        );
        assert_eq!(set("config1:11", 1), Some(Attr { config1: 1 << 11, ..Attr::default() }));
        assert_eq!(
            set("config2:1,6-7,44", 0b1011),
            Some(Attr { config2: 1 << 44 | 1 << 6 | 2, ..Attr::default() })
        );
        assert_eq!(set("config3:0-63", u64::MAX), Some(Attr { config3: u64::MAX, ..Attr::default() }));
    }

    #[test]
    fn a_value_too_large_is_refused() {
        for (format, width) in [("config:0-7", 8), ("config:0-7,32-35", 12), ("config1:11", 1)] {
            let field = Field::parse(format).unwrap();
            assert_eq!(field.width(), width);
            assert!(field.set(&mut Attr::default(), (1 << width) - 1));
            assert!(!field.set(&mut Attr::default(), 1 << width));
        }
    }

    #[test]
    fn a_value_replaces_the_one_before() {
        let mut attr = Attr { config: 0xff03, ..Attr::default() };
        assert!(Field::parse("config:0-7").unwrap().set(&mut attr, 0x1e));
        assert_eq!(attr.config, 0xff1e);
    }

    #[test]
    fn other_formats_are_malformed() {
        for text in [
            "",
            "config",
            "config:",
            "config:8-7",
            "config:0-64",
            "config9:0",
            "config:a",
            "config:1,",
            "x:1",
        ] {
            assert_eq!(Field::parse(text), None, "{text}");
        }
    }

    #[test]
    fn terms_are_numbers_flags_and_parameters() {
        let term = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            terms("event=0x2a,inv,cmask=3,core=?"),
            Some(vec![
                term("event", Some(42)),
                term("inv", Some(1)),
                term("cmask", Some(3)),
                term("core", None)
            ])
        );
        assert_eq!(terms("event=x"), None);
    }

    #[test]
    fn units_become_ucum() {
        assert_eq!(unit("Joules"), (Cow::Borrowed("J"), 1.0));
        assert_eq!(unit("MiB"), (Cow::Borrowed("By"), 1_048_576.0));
        assert_eq!(unit("ns"), (Cow::Borrowed("s"), 1e-9));
        assert_eq!(unit("M"), (Cow::Borrowed("{M}"), 1.0));
        for text in ["", "a b", "{", "µ"] {
            assert_eq!(unit(text).0, "1", "{text}");
        }
    }

    #[test]
    fn a_name_stands_for_the_numbered_pmus_of_its_kind() {
        for (name, pmus) in [
            ("uncore_imc", ["uncore_imc_0", "uncore_imc_11", "uncore_imc"]),
            ("imc", ["uncore_imc_0", "imc_2", "uncore_imc"]),
        ] {
            for one in pmus {
                assert!(pmu(one).is_one_of(name), "{name} {one}");
            }
            for other in
                ["uncore_imc_free_running_0", "uncore_imc_", "uncore_imcx", "uncore_imc_0x", "uncore_cha_0"]
            {
                assert!(!pmu(other).is_one_of(name), "{name} {other}");
            }
        }
    }
}
