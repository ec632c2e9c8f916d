//! How long a run took.

use alumet::{Bound, Report};
use serde::{Deserialize, Serialize};

/// How long a run took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wall {
    pub wall_s: f64,
    /// At most so long, if the end was seen late.
    #[serde(default, skip_serializing_if = "Bound::is_exact")]
    pub wall_bound: Bound,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wall_bound_reason: String,
}

impl Wall {
    pub fn of(report: &Report) -> Self {
        Self {
            wall_s: report.wall.as_secs_f64(),
            wall_bound: report.wall_bound,
            wall_bound_reason: report.wall_bound_reason.clone(),
        }
    }
}
