//! `interp-train compact`: the smaller network that is within a sparse one.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use clap::Args;
use interp_finding::Claim;
use interp_net::{Checkpoint, Keep, Meta, Mode, Network, aligned, grouped, rows};

use super::checkpoint::Which;
use super::{Ending, Machine, print};
use crate::latency::noise;
use crate::progress::Screen;
use crate::{Error, Result};

/// Cut out the channels that are zero for every image: a smaller file of the same network
#[derive(Args, Debug)]
#[command(
    after_help = "Channels are zero where a filter is zero, or a batch norm's gain is zero and the ReLU after it takes its \
        shift away.\nExamples:\n  interp-train compact checkpoints/slim_resnet --dry-run\n  \
        interp-train compact checkpoints/slim_resnet --out slim.safetensors"
)]
pub(super) struct Compact {
    /// A run folder, or a file of ours
    checkpoint: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "compact.safetensors")]
    out: PathBuf,
    /// Replace the file
    #[arg(long)]
    overwrite: bool,
    /// Print what would be cut, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Passes of which the median time is taken.
const PASSES: usize = 21;

impl Compact {
    pub(super) fn run(&self) -> Result<Ending> {
        let (device, _) = self.machine.prepare()?;
        if self.out.exists() && !self.overwrite && !self.dry_run {
            let problem = "exists already; --overwrite replaces it".into();
            return Err(Error::Folder { path: self.out.clone(), problem });
        }
        let loaded = Which::of(self.checkpoint.clone(), None).load(&Screen::new(false))?;
        let Some(meta) = loaded.file.meta else {
            let problem = "a file of others, which does not say what it was trained on".into();
            return Err(Error::Folder { path: loaded.path, problem });
        };
        let large = loaded.network;
        let interp_net::Compact { network: small, cuts } = large.compact()?;
        if cuts.is_empty() {
            print("nothing to cut: no channel is zero for every image")?;
        } else {
            print(&layers(&large, &small))?;
        }
        print(&comparison(&large.to_device(&device)?, &small.to_device(&device)?)?)?;
        if self.dry_run || cuts.is_empty() {
            return Ok(Ending::Fine);
        }
        self.write(&large, &small, meta)
    }

    /// Writes the smaller network. Claims in which the channels counted that are gone go with them.
    fn write(&self, large: &Network, small: &Network, mut meta: Meta) -> Result<Ending> {
        let (stay, go) = std::mem::take(&mut meta.claims).into_iter().partition(|claim| {
            let channels = |network: &Network, name| network.graph.id(name).map(|id| network.graph.shape(id)[0]).ok();
            let same_channels = claim.nodes.iter().all(|name| channels(large, name) == channels(small, name));
            claim.quantity.outlives_cuts(same_channels)
        });
        (meta.graph, meta.claims) = (small.graph.clone(), stay);
        meta.edits.push("channels without effect were cut out".into());
        Checkpoint::write(&self.out, &small.params, &meta)?;
        print(&format!("wrote {}", self.out.display()))?;
        let go: Vec<Claim> = go;
        for claim in go {
            print(&format!("no claim of it, as it counts channels that are gone: {}", claim.statement()))?;
        }
        Ok(Ending::Fine)
    }
}

/// A table of convolutions and linear maps: channels going out, parameters, multiply-adds, each before and after.
fn layers(large: &Network, small: &Network) -> String {
    let numbers = |before: usize, after: usize| [grouped(before), grouped(after)];
    let line = |name: String, columns: [[String; 2]; 3]| [name].into_iter().chain(columns.into_iter().flatten());
    let head = ["channels", "parameters", "multiply-adds"].map(|what| [what.to_owned(), "after".to_owned()]);
    let mut lines = vec![line("layer".into(), head).collect()];
    for (before, after) in rows(large).into_iter().zip(rows(small)).filter(|(before, _)| before.multiply_adds > 0) {
        let channels = numbers(before.shape[0], after.shape[0]);
        let sizes = [(before.parameters, after.parameters), (before.multiply_adds, after.multiply_adds)];
        let [parameters, multiply_adds] = sizes.map(|(before, after)| numbers(before, after));
        lines.push(line(before.name, [channels, parameters, multiply_adds]).collect());
    }
    aligned(&lines, 1)
}

/// Sizes and times of both, and how far their outputs are apart.
fn comparison(large: &Network, small: &Network) -> Result<String> {
    let both = [large, small];
    let [parameters, multiply_adds] =
        [both.map(Network::parameters), both.map(Network::multiply_adds)].map(|[before, after]| {
            let share = 100.0 * after as f64 / before.max(1) as f64;
            format!("{} -> {} ({share:.1} %)", grouped(before), grouped(after))
        });
    let mut lines = vec![format!("parameters     {parameters}"), format!("multiply-adds  {multiply_adds}")];
    for batch in [1, 64] {
        let [before, after] = latencies(both, batch)?.map(|seconds| 1e3 * seconds);
        lines.push(format!("batch of {batch:<5} {before:.2} ms -> {after:.2} ms, median of {PASSES} passes in turn"));
    }
    let [before, after] = outputs(both)?;
    // `f32::max` would drop what is not a number.
    let most = |most: f32, value: f32| if value <= most { most } else { value };
    let apart = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, most);
    let largest = before.iter().map(|v| v.abs()).fold(0.0, most);
    lines.push(format!(
        "outputs        differ by at most {apart:.1e} on pictures of noise, the largest is {largest:.1e}"
    ));
    Ok(lines.join("\n"))
}

fn outputs(both: [&Network; 2]) -> Result<[Vec<f32>; 2]> {
    let [large, small] = both.map(|network| -> Result<Vec<f32>> {
        let tape = network.forward(&noise(network, 8)?, Mode::Eval, &Keep::Output)?;
        Ok(tape.output(&network.graph)?.flatten_all()?.to_vec1()?)
    });
    Ok([large?, small?])
}

/// Median seconds of a pass of each, taken in turn.
fn latencies(both: [&Network; 2], batch: usize) -> Result<[f64; 2]> {
    let x = noise(both[0], batch)?;
    let mut seconds = [vec![], vec![]];
    for _ in 0..PASSES {
        for (network, seconds) in both.iter().zip(&mut seconds) {
            let began = Instant::now();
            let tape = network.forward(&x, Mode::Eval, &Keep::Output)?;
            tape.output(&network.graph)?.to_device(&Device::Cpu)?; // A device is done when its numbers are here.
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    Ok(seconds.map(|mut seconds| {
        seconds.sort_unstable_by(f64::total_cmp);
        seconds[PASSES / 2]
    }))
}
