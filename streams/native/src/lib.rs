//! floorpulse's core, compiled: the same state, the same bytes as `streams/core`.

mod facts;
mod milestones;
mod names;
mod pack;
mod parts;
mod rules;
mod told;
mod zones;

use pyo3::prelude::*;

#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
