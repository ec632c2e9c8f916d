//! Looking an event up on one machine.

use std::borrow::Cow;

use alumet::Host;
use alumet::privilege::sudo;

use super::names::{self, CacheEvent, Symbol, Tool};
use super::parse::raw;
use super::pmu::{self, Pmu};
use super::spec::{Breakpoint, Kind, Number, Place, Spec, Term};
use super::tracepoint::{self, Absent};
use super::{Attr, Class, Event, Modifiers, Part};

/// PERF_PMU_TYPE_SHIFT: above it, `config` of a hardware or cache event holds the number of the core PMU that is meant.
///
/// The kernel understands this since Linux 5.13 on x86, and since 6.6 on ARM (the capability
/// PERF_PMU_CAP_EXTENDED_HW_TYPE of a PMU). In between, ARM kernels refuse such an event with ENOENT, which reads as
/// "not supported here"; without the number they would count on one type of cores only, and not say so.
const PMU_TYPE_SHIFT: u32 = 32;

/// An event that cannot be counted on this machine. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name; to be typed differently.
    #[error("{place}: {reason}{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// Which event.
        place: Place,
        /// What has no such name.
        reason: String,
        /// The valid name that is nearest, if one is near.
        nearest: Option<String>,
    },
    /// The names are right and a value is not; to be typed differently.
    #[error("{place}: {reason}")]
    Invalid {
        /// Which event.
        place: Place,
        /// Which value, and which are valid.
        reason: String,
    },
    /// A valid event of other machines, or tracefs is not mounted.
    #[error("{place}: {reason}; {remedy}")]
    NotHere {
        /// Which event.
        place: Place,
        /// What is missing.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// This user may not look it up.
    #[error("{place}: {reason}; {remedy}")]
    NotReadable {
        /// Which event.
        place: Place,
        /// What cannot be read.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Not the kernel's to count: alumet reports this value in any case.
    #[error("{place}: no event of the kernel; alumet always reports it, as {reported_as}: leave it out")]
    Tool {
        /// Which event.
        place: Place,
        /// Its name here.
        reported_as: &'static str,
    },
}

impl ResolveError {
    /// Whether something else has to be typed, on any machine like this.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Invalid { .. } | Self::Tool { .. })
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// Whether this machine has counters for what its CPUs do: the kernel has a PMU for them.
pub fn has_core_counters(host: &Host) -> bool {
    Pmu::all(host).is_ok_and(|pmus| pmus.iter().any(Pmu::is_core))
}

/// What is to be counted for an event. It is several [`Event`]s where the CPU has several types of cores and the event
/// is not the same work on each: cycles, and codes and names of a core PMU. All other hardware events are then one
/// event with a part on each type.
///
/// Whether the kernel and the hardware can count it is only known when it is opened.
///
/// # Errors
/// [`ResolveError`]
pub fn resolve(spec: &Spec, host: &Host) -> Result<Vec<Event>, ResolveError> {
    let mut events = Resolver { spec, host }.events()?;
    if let Some(label) = &spec.label {
        events.iter_mut().for_each(|event| event.name.clone_from(label));
    }
    Ok(events)
}

struct Resolver<'a> {
    spec: &'a Spec,
    host: &'a Host,
}

type Resolved<T> = Result<T, ResolveError>;

impl Resolver<'_> {
    fn events(&self) -> Resolved<Vec<Event>> {
        match &self.spec.kind {
            Kind::Hardware(symbol) => {
                self.on_cores(Class::Hardware, Attr::HARDWARE, symbol.config, symbol.is_cycles())
            }
            Kind::Cache(event) => self.on_cores(Class::Cache, Attr::CACHE, event.config(), false),
            Kind::Raw { config, .. } => self.raw(*config),
            Kind::Software(symbol) => {
                let count = self.counter(Class::Software, Attr::new(Attr::SOFTWARE, symbol.config));
                let clock = |count| Event { unit: "s".into(), scale: 1e-9, ..count };
                Ok(vec![if symbol.is_clock() { clock(count) } else { count }])
            }
            Kind::Tracepoint { system, event } => self.tracepoint(system, event),
            Kind::Breakpoint(Breakpoint { address, length, access }) => {
                let (config1, config2, bp_type) = (*address, *length, *access);
                let attr = Attr { config1, config2, bp_type, ..Attr::new(Attr::BREAKPOINT, 0) };
                Ok(vec![self.counter(Class::Breakpoint, attr)])
            }
            Kind::Numbers { type_, config, .. } => self.numbers(*type_, *config),
            Kind::Pmu { pmu, terms } => {
                let pmus = self.pmus(pmu)?;
                match self.generic(&pmus, terms)? {
                    Some(event) => Ok(vec![event]),
                    None => Ok(vec![self.on_pmus(&pmus, terms)?]),
                }
            }
            Kind::Named(name) => match self.named(name)? {
                events if events.is_empty() => Err(self.no_such_event(name)?),
                events => Ok(events),
            },
            Kind::Tool(tool) => Err(ResolveError::Tool {
                place: self.place(),
                reported_as: match tool {
                    Tool::Duration => "Time",
                    Tool::User | Tool::System => "CPU",
                },
            }),
        }
    }

    /// A generic event, wherever the process runs.
    fn on_cores(&self, class: Class, type_: u32, config: u64, apart: bool) -> Resolved<Vec<Event>> {
        let cores = self.cores()?;
        if cores.len() < 2 {
            return Ok(vec![self.counter(class, Attr::new(type_, config))]);
        }
        let on = |core: &Pmu| Attr::new(type_, config | u64::from(core.type_) << PMU_TYPE_SHIFT);
        Ok(if apart {
            cores.iter().map(|core| self.counter(class, on(core)).only_on(core)).collect()
        } else {
            vec![self.event(class, cores.iter().map(|core| per_task(on(core))).collect())]
        })
    }

    /// A generic name of the kernel's for one type of cores, as in `cpu_core/cycles/`. Names in sysfs come first, as for perf.
    fn generic(&self, pmus: &[Pmu], terms: &[Term]) -> Resolved<Option<Event>> {
        let ([core], [Term { name, value: None }]) = (pmus, terms) else { return Ok(None) };
        if !core.is_core() || self.look(core.event(name))?.is_some() {
            return Ok(None);
        }
        let (class, type_, config) = match (Symbol::find(&names::HARDWARE, name), CacheEvent::parse(name)) {
            (Some(symbol), _) => (Class::Hardware, Attr::HARDWARE, symbol.config),
            (None, Some(event)) => (Class::Cache, Attr::CACHE, event.config()),
            (None, None) => return Ok(None),
        };
        let is_one_of_many = self.cores()?.len() > 1;
        let of_core = if is_one_of_many { u64::from(core.type_) << PMU_TYPE_SHIFT } else { 0 };
        let event = self.counter(class, Attr::new(type_, config | of_core));
        Ok(Some(if is_one_of_many { event.only_on(core) } else { event }))
    }

    /// An event by the numbers of its class and of itself.
    fn numbers(&self, type_: u32, config: u64) -> Resolved<Vec<Event>> {
        let class = match type_ {
            Attr::HARDWARE => Class::Hardware,
            Attr::SOFTWARE => Class::Software,
            Attr::TRACEPOINT => Class::Tracepoint,
            Attr::CACHE => Class::Cache,
            Attr::RAW => return self.raw(config),
            Attr::BREAKPOINT => {
                return Err(self.invalid("a breakpoint has an address: write it as `mem:0x1000`".into()));
            }
            _ => {
                let pmus = self.look(Pmu::all(self.host))?;
                let Some(pmu) = pmus.iter().find(|pmu| pmu.type_ == type_) else {
                    let reason = format!("this machine has no PMU with the number {type_}");
                    return Err(self.not_here(reason, "name the PMU, as in `msr/tsc/`".into()));
                };
                let (name, typed) = ("config".to_owned(), config.to_string());
                let term = Term { name, value: Some(Number { typed, value: config }) };
                return Ok(vec![self.on_pmus(std::slice::from_ref(pmu), &[term])?]);
            }
        };
        match class {
            // The same number is another event on each type of cores, or none.
            Class::Hardware | Class::Cache => self.on_cores(class, type_, config, true),
            class => Ok(vec![self.counter(class, Attr::new(type_, config))]),
        }
    }

    /// A code of the CPU's maker, which differs between types of cores.
    fn raw(&self, config: u64) -> Resolved<Vec<Event>> {
        let cores = self.cores()?;
        let on = |type_| self.counter(Class::Raw, Attr::new(type_, config));
        Ok(match cores.as_slice() {
            [] | [_] => vec![on(Attr::RAW)],
            cores => cores.iter().map(|core| on(core.type_).only_on(core)).collect(),
        })
    }

    /// An event in sysfs of the core PMUs; none if there is none of this name.
    fn named(&self, name: &str) -> Resolved<Vec<Event>> {
        let cores = self.cores()?;
        let mut events = Vec::new();
        for core in &cores {
            if self.look(core.event(name))?.is_some() {
                let term = Term { name: name.to_owned(), value: None };
                let event = self.on_pmus(std::slice::from_ref(core), &[term])?;
                events.push(if cores.len() > 1 { event.only_on(core) } else { event });
            }
        }
        Ok(events)
    }

    fn no_such_event(&self, name: &str) -> Resolved<ResolveError> {
        let mut valid: Vec<String> = names::all().collect();
        for pmu in self.look(Pmu::all(self.host))? {
            let events = self.look(pmu.events())?;
            if pmu.is_core() {
                valid.extend(events);
            } else if events.iter().any(|event| event == name) {
                // Of another PMU, so it has to be named.
                return Ok(self.unknown("no such event".into(), Some(format!("{}/{name}/", pmu.name))));
            }
        }
        let nearest = nearest(name, &valid);
        let reason = match nearest {
            Some(_) => "no such event",
            None => {
                "no such event in the kernel; one of the CPU's maker is written as `cpu/event=...,umask=.../`"
            }
        };
        Ok(self.unknown(reason.into(), nearest))
    }

    fn tracepoint(&self, system: &str, event: &str) -> Resolved<Vec<Event>> {
        // `mem-loads:u` is no tracepoint if there is an event `mem-loads`.
        let modifiers = Modifiers::parse(event).filter(|_| self.spec.modifiers == Modifiers::default());
        if let Some(modifiers) = modifiers {
            let spec = Spec { kind: Kind::Named(system.to_owned()), modifiers, ..self.spec.clone() };
            let events = Resolver { spec: &spec, host: self.host }.named(system)?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
        let absent = match tracepoint::id(self.host, system, event) {
            Ok(id) => {
                return Ok(vec![self.counter(Class::Tracepoint, Attr::new(Attr::TRACEPOINT, id))]);
            }
            // More likely an event with modifiers and a mistake than a tracepoint with such a name.
            Err(_) if modifiers.is_some() => return Err(self.no_such_event(system)?),
            Err(absent) => absent,
        };
        Err(match absent {
            Absent::NoSystem(systems) => {
                self.unknown(format!("no tracepoint subsystem `{system}`"), nearest(system, &systems))
            }
            Absent::NoEvent(events) => self.unknown(
                format!("subsystem `{system}` has no tracepoint `{event}`"),
                nearest(event, &events),
            ),
            Absent::NotMounted(path) => self.not_here(
                format!("tracefs is not mounted on {}", path.display()),
                format!("run `sudo mount -t tracefs tracefs {}`", path.display()),
            ),
            Absent::NotReadable(path) => ResolveError::NotReadable {
                place: self.place(),
                reason: format!("cannot read {}: permission denied", path.display()),
                // A capability to read everything would let the binary read everything for everybody.
                remedy: sudo("exec --user \"$USER\" ... # the application stays yours"),
            },
            Absent::Broken(path, error) => self.not_here(
                format!("cannot read {}: {}", path.display(), alumet::file::reason(&error)),
                "leave the event out".into(),
            ),
        })
    }

    /// One event, summed over PMUs of one kind.
    fn on_pmus(&self, pmus: &[Pmu], terms: &[Term]) -> Resolved<Event> {
        let mut event = self.event(Class::Pmu, Vec::new());
        for pmu in pmus {
            let (attr, unit, scale) = self.attr(pmu, terms)?;
            let cpus = self.look(pmu.cpumask())?;
            if cpus.as_ref().is_some_and(Vec::is_empty) {
                return Err(self.not_here(
                    format!("PMU `{}` has no CPU to count on", pmu.name),
                    "bring CPUs online, or leave the event out".into(),
                ));
            }
            if !event.parts.is_empty() && (&event.unit, event.scale) != (&unit, scale) {
                return Err(self.invalid(format!("PMU `{}` counts in another unit: name one PMU", pmu.name)));
            }
            (event.unit, event.scale) = (unit, scale);
            event.parts.push(Part { attr, cpus });
        }
        if let Some(core) = pmus.iter().find(|pmu| pmu.is_core()) {
            event.is_of_core = true;
            event.core_type = (self.cores()?.len() > 1).then(|| core.name.clone());
        }
        Ok(event)
    }

    /// What the terms mean to a PMU: later ones go over earlier ones.
    fn attr(&self, pmu: &Pmu, terms: &[Term]) -> Resolved<(Attr, Cow<'static, str>, f64)> {
        let mut attr = Attr::new(pmu.type_, 0);
        let (mut unit, mut scale) = (Cow::Borrowed("1"), 1.0);
        let mut event_name: Option<&str> = None;
        for Term { name, value } in terms {
            let event = if value.is_none() { self.event_of(pmu, name)? } else { None };
            if let Some(event) = event {
                if let Some(other) = event_name.replace(name) {
                    return Err(
                        self.invalid(format!("`{other}` and `{name}` are two events: count one at a time"))
                    );
                }
                (unit, scale) = (event.unit, event.scale);
                for (field, value) in event.terms {
                    let value = match value {
                        Some(value) => value,
                        None if terms.iter().any(|term| term.name == field && term.value.is_some()) => {
                            continue;
                        }
                        None => {
                            return Err(self.invalid(format!("`{name}` needs a value: add `,{field}=...`")));
                        }
                    };
                    self.set(pmu, &mut attr, &field, value)?;
                }
            } else if let (None, Some(code)) = (value, raw(name))
                && self.look(pmu.field(name))?.is_none()
            {
                attr.config = u64::from_str_radix(code, 16)
                    .map_err(|_| self.invalid(format!("`{name}` has a code of more than 64 bits")))?;
            } else {
                self.set(pmu, &mut attr, name, value.as_ref().map_or(1, |Number { value, .. }| *value))?;
            }
        }
        Ok((attr, unit, scale))
    }

    /// The event of this name, whose case does not count where there is none like it: perf does so as well.
    fn event_of(&self, pmu: &Pmu, name: &str) -> Resolved<Option<pmu::Named>> {
        let exact = self.look(pmu.event(name))?;
        if exact.is_some() || self.look(pmu.field(name))?.is_some() {
            return Ok(exact);
        }
        let names = self.look(pmu.events())?;
        match names.iter().find(|other| other.eq_ignore_ascii_case(name)) {
            Some(other) => self.look(pmu.event(other)),
            None => Ok(None),
        }
    }

    fn set(&self, pmu: &Pmu, attr: &mut Attr, name: &str, value: u64) -> Resolved<()> {
        let Some(field) = self.look(pmu.field(name))? else {
            if self.event_of(pmu, name)?.is_some() {
                let pmu = &pmu.name;
                return Err(self.invalid(format!(
                    "`{name}` is an event of PMU `{pmu}`, and has no value: write `{pmu}/{name}/`"
                )));
            }
            let valid = [self.look(pmu.events())?, self.look(pmu.fields())?].concat();
            let reason = format!("PMU `{}` has no event or field `{name}`", pmu.name);
            return Err(self.unknown(reason, nearest(name, &valid)));
        };
        if field.set(attr, value) {
            return Ok(());
        }
        let (pmu, width) = (&pmu.name, field.width());
        let bits = if width == 1 { "bit" } else { "bits" };
        Err(self.invalid(format!(
            "{value:#x} is too large for field `{name}` of PMU `{pmu}`, which has {width} {bits}"
        )))
    }

    /// The PMU of this name, or else those of this kind.
    fn pmus(&self, name: &str) -> Resolved<Vec<Pmu>> {
        let all = self.look(Pmu::all(self.host))?;
        if let Some(pmu) = all.iter().find(|pmu| pmu.name == name) {
            return Ok(vec![pmu.clone()]);
        }
        let names: Vec<String> = all.iter().map(|pmu| pmu.name.clone()).collect();
        let of_this_kind: Vec<Pmu> = all.into_iter().filter(|pmu| pmu.is_one_of(name)).collect();
        if !of_this_kind.is_empty() {
            return Ok(of_this_kind);
        }
        let list = self.host.pmus();
        let remedy = match nearest(name, &names) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("those that it has are in {}", list.display()),
        };
        Err(self.not_here(format!("this machine has no PMU `{name}`"), remedy))
    }

    /// The core PMUs; several on CPUs with several types of cores.
    fn cores(&self) -> Resolved<Vec<Pmu>> {
        let mut pmus = self.look(Pmu::all(self.host))?;
        pmus.retain(Pmu::is_core);
        Ok(pmus)
    }

    /// One counter for the process.
    fn counter(&self, class: Class, attr: Attr) -> Event {
        self.event(class, vec![per_task(attr)])
    }

    /// A counting event by the name that was typed.
    fn event(&self, class: Class, parts: Vec<Part>) -> Event {
        Event {
            name: self.spec.to_string(),
            core_type: None,
            parts,
            unit: Cow::Borrowed("1"),
            scale: 1.0,
            class,
            is_of_core: matches!(class, Class::Hardware | Class::Cache | Class::Raw),
            modifiers: self.spec.modifiers,
        }
    }

    fn look<T>(&self, read: Result<T, pmu::Error>) -> Resolved<T> {
        read.map_err(|error| match &error {
            pmu::Error::Unreadable { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                ResolveError::NotReadable {
                    place: self.place(),
                    reason: error.to_string(),
                    remedy: sudo("exec --user \"$USER\" ..."),
                }
            }
            _ => self.not_here(error.to_string(), "leave the event out".into()),
        })
    }

    fn place(&self) -> Place {
        self.spec.place.clone()
    }

    fn unknown(&self, reason: String, nearest: Option<String>) -> ResolveError {
        ResolveError::Unknown { place: self.place(), reason, nearest }
    }

    fn invalid(&self, reason: String) -> ResolveError {
        ResolveError::Invalid { place: self.place(), reason }
    }

    fn not_here(&self, reason: String, remedy: String) -> ResolveError {
        ResolveError::NotHere { place: self.place(), reason, remedy }
    }
}

impl Event {
    fn only_on(self, core: &Pmu) -> Self {
        Self { core_type: Some(core.name.clone()), ..self }
    }
}

fn per_task(attr: Attr) -> Part {
    Part { attr, cpus: None }
}

/// The candidate that is nearest to what was typed, if one is near; case does not count.
fn nearest(typed: &str, candidates: &[String]) -> Option<String> {
    let typed = typed.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate.clone())
}
