//! What the models of a pipeline are, and what they take.
//!
//! Owns: the lines about each, the memory of a lane. Never does: keep a session.

use eddy_model::Model;

use crate::assemble::Assembly;
use crate::file::Pipeline;
use crate::settings::problems::Problems;

#[derive(Debug)]
pub(super) struct ModelsReport {
    pub(super) runtime: String,
    /// Lines about each model, its name first.
    pub(super) models: Vec<(String, Vec<String>)>,
    pub(super) lanes: u16,
    pub(super) memory: Option<Memory>,
}

/// Resident memory of this process, as the system counts it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) one_lane: u64,
    pub(super) further_lane: Option<u64>,
}

/// Makes the sessions of a lane, and of a second one where there is to be one.
///
/// # Errors
/// Why that cannot be done.
pub(super) fn examine_models(pipeline: &Pipeline, assembly: &Assembly) -> Result<ModelsReport, Problems> {
    let located = |problems| pipeline.document.locate(problems);
    // The first scoring takes over the sessions that were tried; only the second one shows what a lane costs.
    let first = assembly.scoring().map_err(located)?;
    let one_lane = resident_bytes();
    let lanes = pipeline.file.kafka.lanes;
    let second = if lanes > 1 {
        Some(assembly.scoring().map_err(located)?)
    } else {
        None
    };
    let two_lanes = second.as_ref().and_then(|_| resident_bytes());
    let models = assembly
        .models()
        .iter()
        .zip(&pipeline.file.models)
        .map(|(model, settings)| {
            let title = format!("{} {}", model.name(), model.version());
            (title, describe(model, settings, first.max_rows()))
        });
    let models = models.collect();
    drop((first, second));
    Ok(ModelsReport {
        runtime: format!(
            "ONNX Runtime {} from {}",
            assembly.runtime().version(),
            assembly.runtime().library().display()
        ),
        models,
        lanes,
        memory: one_lane.map(|one_lane| Memory {
            one_lane,
            further_lane: two_lanes.map(|two| two.saturating_sub(one_lane)),
        }),
    })
}

fn describe(model: &Model, settings: &eddy_model::Settings, rows: usize) -> Vec<String> {
    let mut lines = vec![
        format!("file      {}", model.path().display()),
        format!("sha256    {}", model.sha256()),
    ];
    let external_data = model.external_data();
    lines.extend(external_data.map(|(file, sha256)| format!("data      {file}, sha256 {sha256}")));
    for input in model.inputs() {
        let fields = settings.inputs.get(&input.name).map(|fields| listed(fields));
        let fields = fields.map_or_else(String::new, |fields| format!(" from {fields}"));
        lines.push(format!("input     {input}{fields}"));
    }
    lines.extend(model.outputs().iter().map(|output| format!("output    {output}")));
    lines.push(format!("head      {}", settings.head.type_name()));
    let fell_back = model
        .fell_back()
        .map(|why| format!(", because {}", why.replace('\n', "; ")));
    lines.push(format!(
        "provider  {}{}",
        model.provider(),
        fell_back.unwrap_or_default()
    ));
    let time = model
        .calibration()
        .and_then(|calibration| calibration.expected_time(rows));
    let time = time.map_or_else(String::new, |time| format!(", about {time:.1?} a run"));
    lines.push(format!("batch     up to {rows} rows{time}"));
    lines
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len() {
        0..=SHOWN => names.join(", "),
        count => format!("{}, … ({count} fields)", names[..SHOWN].join(", ")),
    }
}

/// What the system says this process holds; `None` where it does not say.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
