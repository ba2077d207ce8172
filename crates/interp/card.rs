//! The model card of a run: what people read first of its network on the hub.

use interp_finding::Measured;
use interp_learn::Score;
use interp_net::Meta;

use crate::recipe::{Lacks, Recipe};
use crate::summary::{Scores, Size, Summary, Twin};

/// How many classes are named.
const MOST_CLASSES: usize = 20;

/// What a card is made from.
pub(crate) struct Card<'a> {
    /// Where the network will be: `OWNER/NAME`.
    pub(crate) repository: &'a str,
    /// The hub's name of the license, where one is given.
    pub(crate) license: Option<&'a str>,
    /// What the run found.
    pub(crate) summary: &'a Summary,
    /// What the network's file says of it.
    pub(crate) meta: &'a Meta,
    /// The recipe of the file, read.
    pub(crate) recipe: &'a Recipe,
}

impl Card<'_> {
    /// The card in Markdown, with the hub's front matter.
    pub(crate) fn text(&self) -> String {
        let sections = [
            Some(self.front_matter()),
            Some(format!("# {}\n\n{}", plain(&self.summary.name), self.what_it_is())),
            Some(format!("## Results\n\n{}", self.results())),
            Some(format!("## Claims\n\n{}", self.claims())),
            self.warnings(),
            Some(format!("## Use\n\n{}", self.how_to_use())),
            Some(format!(
                "## Recipe\n\nEvery default is written out.\n\n```toml\n{}\n```",
                self.meta.recipe.trim_end()
            )),
        ];
        sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n") + "\n"
    }

    fn tells_classes(&self) -> bool {
        matches!(self.summary.test.score, Score::Accuracy(_))
    }

    /// What the hub sorts by. Nothing is in it that is not known.
    fn front_matter(&self) -> String {
        let task = if self.tells_classes() { "image-classification" } else { "image-to-image" };
        let license = self.license.map(|license| format!("license: {license}\n")).unwrap_or_default();
        let data = self.recipe.data.object.hosted().map(|data| format!("datasets:\n- {data}\n")).unwrap_or_default();
        format!("---\nlibrary_name: interp\npipeline_tag: {task}\ntags:\n- {task}\n- interpretable\n{license}{data}---")
    }

    fn what_it_is(&self) -> String {
        let &[channels, height, width] = self.meta.graph.shape(0) else { return String::new() };
        let does = match (self.tells_classes(), self.meta.classes.len()) {
            (false, _) => "takes noise away from them".to_owned(),
            (true, count @ 1..=MOST_CLASSES) => {
                format!("tells {count} classes apart: {}", plain(&self.meta.classes.join(", ")))
            }
            (true, count) => format!("tells {count} classes apart"),
        };
        let priors = &self.recipe.priors;
        let names: Vec<String> = priors.iter().map(|prior| format!("`{}`", prior.part.kind)).collect();
        let steered = if names.is_empty() { String::new() } else { format!(", steered by {}", names.join(", ")) };
        let taught = if self.recipe.teachers.is_empty() { "" } else { ", learning from other networks too" };
        format!(
            "A network of the kind `{}`. It takes pictures of {height} x {width} pixels with {channels} channel{}, and {does}. It was \
             trained on `{}`{steered}{taught}, with interp and by the recipe below.",
            self.recipe.model.kind,
            if channels == 1 { "" } else { "s" },
            self.summary.data,
        )
    }

    fn results(&self) -> String {
        let Summary { test, size, twin, data, .. } = self.summary;
        let mut lines = vec![
            format!("| | {} on test | parameters | not zero | multiply-adds |", test.score.name()),
            "|---|---|---|---|---|".to_owned(),
            row("this network", test, size),
        ];
        lines.extend(twin.iter().map(|twin| row("its twin", &twin.test, &twin.size)));
        let compared = twin.as_ref().map_or("No twin was trained to compare with.".to_owned(), compared);
        format!("{}\n\nOn {} test pictures of `{data}`, by the saved file. {compared}", lines.join("\n"), test.count)
    }

    fn claims(&self) -> String {
        if self.summary.claims.is_empty() {
            return "The recipe makes no claim about the network.".into();
        }
        let row = |claim: &Measured| {
            let holds = if claim.holds { "yes" } else { "**no**" };
            format!("| {} | {} | {holds} |", plain(&claim.statement), plain(&claim.shown))
        };
        let rows: Vec<String> = self.summary.claims.iter().map(row).collect();
        format!(
            "| claim | measured | holds |\n|---|---|---|\n{}\n\nMeasured on the saved file, by code that does not train. \
             `interp-audit claims hub:{}` measures it again.",
            rows.join("\n"),
            self.repository
        )
    }

    fn warnings(&self) -> Option<String> {
        let lines: Vec<String> = self.summary.warnings.iter().map(|warning| format!("- {}", plain(warning))).collect();
        (!lines.is_empty()).then(|| format!("## Warnings\n\n{}", lines.join("\n")))
    }

    fn how_to_use(&self) -> String {
        let at = format!("hub:{}", self.repository);
        let predict =
            if self.tells_classes() { format!("interp-train predict {at} picture.png\n") } else { String::new() };
        format!(
            "```\n{predict}interp-audit claims {at}\ninterp-train export {at} --format torchvision --out network.pth\n```\n\n\
             The last makes a state dict with a module of PyTorch that takes it. `model.safetensors` is a plain safetensors file; what \
             network it is, and how pictures are normalized, stands in its metadata. `report.html` is the page of the run, \
             `summary.json` has its numbers."
        )
    }
}

fn row(name: &str, test: &Scores, size: &Size) -> String {
    format!("| {name} | {} | {} | {} | {} |", test.score, size.parameters, size.nonzero, size.multiply_adds)
}

/// What the comparison with a twin comes to.
fn compared(twin: &Twin) -> String {
    let [low, high] = twin.difference.interval;
    let lacks = match twin.lacks {
        Lacks::Everything => "The twin is the same network without priors and teachers, of a plain architecture.",
        Lacks::Teachers => "The twin is the same network with the same priors, which learned from labels alone.",
    };
    format!(
        "The difference to the twin is {:+.2} {}, with a 95 % interval from {low:+.2} to {high:+.2}: paired, over test pictures, of one \
         training each. {lacks}",
        twin.difference.points,
        twin.test.score.difference_unit(),
    )
}

/// The text without a meaning in Markdown, on one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '|' | '<' | '>' | '[' | ']' | '#' | '&' | '~' | '$' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use interp_net::Normalization;
    use interp_net::zoo::{Architecture, Vgg};

    use super::*;
    use crate::Catalog;

    const RECIPE: &str = "name = \"sparse_vgg\"\n\n[data]\nkind = \"mnist\"\npad = 2\n\n[model]\nkind = \"vgg\"\ndepth = 8\nwidth = 0.125\n\n\
                          [[train.phase]]\nepochs = 1\nlearning_rate = 0.1\n\n[[prior]]\nkind = \"l1\"\nnodes = [\"features.*\"]\ntarget = 0.9\n";

    /// As docs/summary.md has it.
    const SUMMARY: &str = r#"{"version": 1, "name": "sparse_vgg", "data": "mnist", "recipe": "0a1b",
        "test": {"accuracy": 0.98765, "loss": 0.05, "count": 10000}, "validation": {"accuracy": 0.98, "loss": 0.06, "count": 5000},
        "epoch": 3, "size": {"parameters": 1200, "nonzero": 130, "multiply_adds": 34000}, "latency": {"one": 1.0, "batch": 9.0},
        "claims": [{"statement": "share of features.*|x that are zero ≥ 90 %", "value": 0.9, "bound": 0.9, "holds": true, "shown": "90.1 %"},
                   {"statement": "no negative weight", "value": null, "bound": 0.0, "holds": false, "shown": "NaN"}],
        "twin": {"lacks": "everything", "test": {"accuracy": 0.9897, "loss": 0.04, "count": 10000},
            "validation": {"accuracy": 0.99, "loss": 0.05, "count": 5000}, "epoch": 2,
            "size": {"parameters": 1201, "nonzero": 1201, "multiply_adds": 34001},
            "latency": {"one": 1.0, "batch": 9.0}, "difference": {"points": -0.205, "interval": [-0.41, 0.0]}},
        "warnings": ["The loss is above 2."], "seconds": 83.0}"#;

    fn card(recipe: &str, change: impl Fn(&mut serde_json::Value), license: Option<&str>) -> String {
        let mut summary: serde_json::Value = serde_json::from_str(SUMMARY).unwrap();
        change(&mut summary);
        let summary = serde_json::from_value(summary).unwrap();
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([1, 32, 32], 2).unwrap();
        let normalization = Normalization { mean: vec![0.5], std: vec![0.5] };
        let mut meta = Meta::new(graph, vec!["cat_1".into(), "dog".into()], normalization);
        meta.recipe = recipe.into();
        let recipe = Recipe::parse("recipe", recipe, &Catalog::default()).unwrap();
        Card { repository: "owner/tiny", license, summary: &summary, meta: &meta, recipe: &recipe }.text()
    }

    #[test]
    fn a_card_says_what_was_measured() {
        let text = card(RECIPE, |_| (), Some("mit"));
        let front = "---\nlibrary_name: interp\npipeline_tag: image-classification\ntags:\n- image-classification\n\
                     - interpretable\nlicense: mit\ndatasets:\n- ylecun/mnist\n---\n\n# sparse\\_vgg\n";
        assert!(text.starts_with(front), "{text}");
        for part in [
            "of the kind `vgg`",
            "pictures of 32 x 32 pixels with 1 channel, and tells 2 classes apart: cat\\_1, dog. It was trained on `mnist`, steered by `l1`,",
            "| | accuracy on test | parameters | not zero | multiply-adds |\n|---|---|---|---|---|\n\
             | this network | 98.77 % | 1200 | 130 | 34000 |\n| its twin | 98.97 % | 1201 | 1201 | 34001 |\n",
            "On 10000 test pictures of `mnist`",
            "difference to the twin is -0.20 points, with a 95 % interval from -0.41 to +0.00: paired,",
            "| claim | measured | holds |\n|---|---|---|\n| share of features.\\*\\|x that are zero ≥ 90 % | 90.1 % | yes |\n\
             | no negative weight | NaN | **no** |\n",
            "## Warnings\n\n- The loss is above 2.\n",
            "interp-train predict hub:owner/tiny picture.png\ninterp-audit claims hub:owner/tiny\n",
        ] {
            assert!(text.contains(part), "`{part}` in:\n{text}");
        }
        assert!(text.ends_with(&format!("```toml\n{RECIPE}```\n")), "{text}");
    }

    #[test]
    fn a_card_says_nothing_that_is_not_known() {
        let own = RECIPE
            .replace("pad = 2", "pad = 2\npath = \"own\"")
            .replace("[[prior]]\nkind = \"l1\"\nnodes = [\"features.*\"]\ntarget = 0.9\n", "");
        let nothing = |summary: &mut serde_json::Value| {
            summary["twin"] = serde_json::json!(null);
            summary["claims"] = serde_json::json!([]);
            summary["warnings"] = serde_json::json!([]);
        };
        let text = card(&own, nothing, None);
        for part in ["license:", "datasets:", "Warnings", "steered", "its twin |", "holds"] {
            assert!(!text.contains(part), "`{part}` in:\n{text}");
        }
        assert!(text.contains("No twin was trained") && text.contains("makes no claim"), "{text}");
    }

    #[test]
    fn a_network_that_makes_pictures_is_of_another_kind() {
        let psnr = |summary: &mut serde_json::Value| {
            summary["test"] = serde_json::json!({ "psnr": 26.514, "loss": 0.2, "count": 100 });
            summary["twin"]["test"] = serde_json::json!({ "psnr": 24.87, "loss": 0.3, "count": 100 });
        };
        let text = card(RECIPE, psnr, None);
        for part in ["pipeline_tag: image-to-image", "takes noise away", "PSNR on test", "| 26.51 dB |", "-0.20 dB"] {
            assert!(text.contains(part), "`{part}` in:\n{text}");
        }
        assert!(!text.contains("predict") && !text.contains("image-classification"), "{text}");
    }
}
