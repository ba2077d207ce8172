//! The page of a decomposition: layers by scores, factors by the channels that tell most of them.

use interp_audit::factors::{Known, Scores};
use interp_finding::{Figure, Finding};
use interp_report::Page;

use super::{Layer, Opened};

/// Channels of a layer that are drawn, at most.
const DRAWN: usize = 24;

/// Heads, and a row for each layer.
pub(super) fn layers(layers: &[Layer]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["layer", "channels", "MIG", "SAP", "disentanglement", "completeness", "modularity"].map(str::to_owned);
    let row = |layer: &Layer| {
        let (found, chance) = (layer.found.scores(), layer.chance.scores());
        let shown = |of: fn(&Scores) -> f64| format!("{:.3} ({:.3})", of(&found), of(&chance));
        let scores = [
            shown(|scores| scores.information_gap),
            shown(|scores| scores.predictability_gap),
            shown(|scores| scores.disentanglement),
            shown(|scores| scores.completeness),
            shown(|scores| scores.modularity),
        ];
        [layer.name.clone(), layer.found.information.len().to_string()].into_iter().chain(scores).collect()
    };
    (head.into(), layers.iter().map(row).collect())
}

pub(super) fn of(opened: &Opened, factors: &[Known], all: &[Layer]) -> Page {
    let (columns, rows) = layers(all);
    let scores = Figure::Table {
        title: "Scores".into(),
        caption: "In brackets the same of channels whose numbers are those of other pictures: chance. MIG: how much more the channel that tells most of a factor tells than the second, as a share of the \
                  factor's entropy. SAP: how much better the first predicts it than the second (balanced accuracy). Disentanglement: how far a channel tells of one factor alone; completeness: how far a factor is \
                  told by one channel alone; both by mutual information, weighed by how much is told. Modularity: how little a channel tells of factors beside its first. Means over factors, or channels. Channels of a \
                  wide layer tell the same several times, which MIG, SAP and completeness count against it, and disentanglement and modularity do not."
            .into(),
        columns,
        rows,
    };
    let mut findings = vec![Finding {
        name: "scores".into(),
        title: "Channels and factors".into(),
        statement: statement(all),
        numbers: vec![],
        figures: vec![scores, firsts(factors, all)],
    }];
    findings.extend(all.iter().map(|layer| told(factors, layer)));
    Page {
        title: "How far channels keep to factors".into(),
        lead: "A channel is easy to name where it tells of one factor of pictures alone, and a factor easy to find where one channel tells of it.".into(),
        warnings: vec![],
        facts: vec![("Network".into(), opened.path.display().to_string()), ("Data".into(), opened.info.name.clone())],
        claims: vec![],
        findings,
        source: None,
    }
}

fn statement(all: &[Layer]) -> String {
    let score = |layer: &&Layer| layer.found.scores().disentanglement;
    let best = all.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    best.map_or(String::new(), |best| {
        let (found, chance) = (score(&best), best.chance.scores().disentanglement);
        format!(
            "Channels keep to one factor most in {}: a disentanglement of {found:.3}, beside {chance:.3} by chance.",
            best.name
        )
    })
}

/// Of each factor, the channel of each layer that tells most of it.
fn firsts(factors: &[Known], all: &[Layer]) -> Figure {
    let row = |(at, factor): (usize, &Known)| {
        let first = |layer: &Layer| {
            layer.first(at).map_or("–".to_owned(), |(channel, share)| format!("{channel}: {:.0} %", 100.0 * share))
        };
        std::iter::once(factor.name.clone()).chain(all.iter().map(first)).collect()
    };
    Figure::Table {
        title: "Factors, and who tells most of them".into(),
        caption: "Of each layer the channel, and the share of the factor's entropy that it tells; of pictures in which the factor is seen. Factors of a class's definition tell of each other.".into(),
        columns: std::iter::once("factor".to_owned()).chain(all.iter().map(|layer| layer.name.clone())).collect(),
        rows: factors.iter().enumerate().map(row).collect(),
    }
}

/// What the channels of a layer that tell most tell of each factor.
fn told(factors: &[Known], layer: &Layer) -> Finding {
    let share = |row: &[f64], at: usize| {
        let entropy = layer.found.entropies[at];
        if entropy > 0.0 { row[at] / entropy } else { 0.0 }
    };
    let shares = |row: &Vec<f64>| (0..factors.len()).map(|at| share(row, at)).collect::<Vec<f64>>();
    let mut channels: Vec<(usize, Vec<f64>)> = layer.found.information.iter().map(shares).enumerate().collect();
    let most = |shares: &[f64]| shares.iter().copied().fold(0.0, f64::max);
    channels.sort_by(|a, b| most(&b.1).total_cmp(&most(&a.1)));
    channels.truncate(DRAWN);
    let figure = Figure::Heat {
        title: format!("{}: what channels tell", layer.name),
        caption: format!(
            "The share of each factor's entropy, of the {} channels that tell most of any.",
            channels.len()
        ),
        rows: channels.iter().map(|(channel, _)| channel.to_string()).collect(),
        columns: factors.iter().map(|factor| factor.name.clone()).collect(),
        values: channels.into_iter().map(|(_, shares)| shares.into_iter().map(Some).collect()).collect(),
    };
    let (name, title) = (layer.name.clone(), layer.name.clone());
    Finding { name, title, statement: String::new(), numbers: vec![], figures: vec![figure] }
}
