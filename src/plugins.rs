//! The one list of built-in plugins.

use alumet::PluginEntry;
use alumet_plugin_attribution::Attribute;
use alumet_plugin_csv::Csv;
use alumet_plugin_estimate::Estimation;
use alumet_plugin_hwmon::Hwmon;
use alumet_plugin_nvml::Nvml;
use alumet_plugin_perf::Perf;
use alumet_plugin_procfs::Procfs;
use alumet_plugin_rapl::Rapl;

/// In the order in which they are started and listed: the estimate looks whether anything measures, and what it adds is attributed. Outputs come last: what was asked for in vain leaves no file behind.
pub const ALL: [PluginEntry; 8] = [
    PluginEntry::of::<Procfs>(),
    PluginEntry::of::<Perf>(),
    PluginEntry::of::<Rapl>(),
    PluginEntry::of::<Hwmon>(),
    PluginEntry::of::<Nvml>(),
    PluginEntry::of::<Estimation>(),
    PluginEntry::of::<Attribute>(),
    PluginEntry::of::<Csv>(),
];

/// The plugin of this name.
pub fn find(name: &str) -> Option<&'static PluginEntry> {
    ALL.iter().find(|plugin| plugin.name == name)
}

/// `did you mean ...?` with the candidate nearest to what was typed, if one is near.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min()
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}
