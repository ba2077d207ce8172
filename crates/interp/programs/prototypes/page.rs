//! The page of `interp-audit prototypes`.

use interp_audit::Pictures;
use interp_audit::prototypes::{Found, Peak, Prototype};
use interp_finding::{Better, Figure, Finding, Named, Number, share_interval};
use interp_net::Region;
use interp_report::Page;

use super::super::colors::{bytes, color_of};
use super::Told;
use crate::Result;

/// Prototypes that are shown, at most.
const SHOWN: usize = 80;

/// Nearest places that are shown of each.
const BESIDE: usize = 5;

/// Pixels between pictures.
const GAP: usize = 2;

/// The color of frames.
const FRAME: [f32; 3] = [0.9, 0.1, 0.1];

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn or_not(share: Option<f64>) -> String {
    share.map_or_else(|| "not known".to_owned(), percent)
}

fn share_of([some, all]: [usize; 2]) -> f64 {
    some as f64 / all.max(1) as f64
}

/// How many prototypes weigh something.
fn used(found: &Found) -> String {
    match (found.used().count(), found.prototypes.len()) {
        (used, all) if used < all => format!("{used} of {all}"),
        (_, all) => all.to_string(),
    }
}

/// The table that is printed.
pub(super) fn totals(found: &Found) -> (Vec<String>, Vec<Vec<String>>) {
    let head = [
        "prototypes",
        "right, %",
        "terms of a decision",
        "of the class, %",
        "in the object, %",
        "patches with it, %",
        "anywhere, %",
        "purity, %",
        "by chance, %",
        "consistent, %",
        "stable, %",
        "mean cosine",
        "places",
    ];
    let (patches, purity) = (found.patches(), found.purity());
    let row = vec![
        used(found),
        percent(share_of(found.right)),
        format!("{:.1}", found.terms),
        percent(share_of(found.own())),
        or_not(found.hits().map(share_of)),
        or_not(patches.map(|[share, _]| share)),
        or_not(patches.map(|[_, anywhere]| anywhere)),
        or_not(purity.map(|[share, _]| share)),
        or_not(purity.map(|[_, chance]| chance)),
        or_not(found.consistency()),
        or_not(found.stability),
        found.cosines.map_or("no vectors".into(), |[all, _]| format!("{all:.3}")),
        found.places().to_string(),
    ];
    (head.map(str::to_owned).to_vec(), vec![row])
}

pub(super) fn of(told: &Told<'_>) -> Result<Page> {
    let Told { opened, found, .. } = told;
    let (columns, rows) = totals(found);
    let inside = found.hits().map_or("where the objects of pictures are is not known".into(), |hits| {
        format!("of their nearest places {:.1} % lie in the object", 100.0 * share_of(hits))
    });
    let alike = found.purity().map_or("nothing is known of the pictures".into(), |[share, chance]| {
        format!(
            "pictures of the nearest places have one thing in common in {:.1} % ({:.1} % of pictures of the same classes drawn at random)",
            100.0 * share,
            100.0 * chance
        )
    });
    let same = found.equal().map_or(String::new(), |equal| format!(", and {equal} are equal to what is there"));
    let statement = format!(
        "{} prototypes tell the classes; the network is right on {:.1} % of {} pictures. They are found at {} different places of training pictures{same}; {inside}, and {alike}.",
        used(found),
        100.0 * share_of(found.right),
        found.right[1],
        found.places()
    );
    let finding = Finding {
        name: "prototypes".into(),
        title: "Classes by likeness".into(),
        statement,
        numbers: numbers(found),
        figures: vec![
            Figure::Table { title: "Together".into(), caption: TOGETHER.into(), columns, rows },
            shown(told)?,
            each(told),
            explained(told)?,
            sum(told),
        ],
    };
    Ok(Page {
        title: "Prototypes".into(),
        lead: "This is a star because this place looks like that one of a star it has learned from: whether that is so is measured here.".into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), opened.path.display().to_string()),
            ("Data".into(), opened.info.name.clone()),
            ("Prototypes at".into(), opened.network.graph.nodes()[found.layer.map].name.clone()),
        ],
        claims: vec![],
        findings: vec![finding],
        source: None,
    })
}

fn numbers(found: &Found) -> Vec<(String, Number)> {
    let share = |[some, all]: [usize; 2]| {
        let [low, high] = share_interval(some, all).map(|end| 100.0 * end);
        Number::new(100.0 * share_of([some, all]), "%", Better::Higher).with_interval(low, high)
    };
    let mut all = vec![("accuracy".to_owned(), share(found.right))];
    all.extend(found.hits().map(|hits| ("places in the object".to_owned(), share(hits))));
    let beside = |name: &str, [share, chance]: [f64; 2]| {
        let number = Number::new(100.0 * share, "%", Better::Higher);
        (name.to_owned(), Number { null: Some(100.0 * chance), ..number })
    };
    all.extend(found.patches().map(|shares| beside("patches with some of the object", shares)));
    all.extend(found.purity().map(|shares| beside("purity", shares)));
    let more = [("consistency", found.consistency()), ("stability", found.stability)];
    let more = more.into_iter().filter_map(|(name, share)| Some((name, share?)));
    all.extend(more.map(|(name, share)| (name.to_owned(), Number::new(100.0 * share, "%", Better::Higher))));
    all.extend(found.cosines.map(|[all, _]| ("mean cosine".to_owned(), Number::new(all, "", Better::Lower))));
    all
}

const TOGETHER: &str = "Prototypes that weigh nothing for any class do not count. Terms of a decision: prototypes that the class which is told owes something to, a mean over pictures. Of the class: of the nearest places of each prototype, one for each picture, those of pictures of its class. In the object: \
    those whose middle lies in the object. Patches with it: squares of a third of the side around these middles that show some of the object, beside those around all places of the same pictures (anywhere). Purity: the share of these pictures that have the most frequent value of their best factor, beside that of pictures of the same classes drawn at random: what goes by the class alone has as much. Consistent: prototypes of which four in five of the nearest places lie in one part. Stable: places with most of a prototype of the picture's class that lie in the same parts with noise of a deviation of \
    0.2 on the picture. Mean cosine: of two prototypes; at 1 all are the same. Places: different places of training pictures that prototypes are found at.";

/// The prototypes that are shown: those that weigh something, the heaviest first where there are too many, in their order.
fn chosen(found: &Found) -> Vec<&Prototype> {
    let mut order: Vec<usize> = (0..found.prototypes.len()).filter(|&at| found.prototypes[at].weight > 0.0).collect();
    order.sort_by(|&a, &b| found.prototypes[b].weight.total_cmp(&found.prototypes[a].weight).then(a.cmp(&b)));
    order.truncate(SHOWN);
    order.sort_unstable();
    order.into_iter().map(|at| &found.prototypes[at]).collect()
}

fn class_name<'a>(told: &'a Told<'_>, class: usize) -> &'a str {
    told.opened.info.classes.get(class).map_or("", String::as_str)
}

fn shown(told: &Told<'_>) -> Result<Figure> {
    let mut pictures = vec![];
    for prototype in chosen(told.found) {
        let source = prototype.source.iter().map(|peak| (told.train, peak));
        let nearest = prototype.nearest.iter().take(BESIDE).map(|peak| (&told.opened.pictures, peak));
        let seen = source.chain(nearest).map(|(pictures, peak)| framed(pictures, peak.picture, &[peak.region]));
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let name = format!("{} ({})", prototype.name, class_name(told, prototype.class));
        pictures.push(beside(name, &seen));
    }
    let caption = format!(
        "Of each prototype that weighs something, at most {SHOWN}: first the training picture that has most of it, then {BESIDE} pictures of the split that do. A frame holds all that the place sees (its receptive field, within the picture), and nothing else \
         can have led to it; what of it did is not told. In brackets the class for which it weighs most."
    );
    Ok(Figure::Pictures { title: "Prototypes and where they are found".into(), caption, pictures, zoom: 2 })
}

/// A picture with frames around parts of it: rows of colors.
fn framed(pictures: &Pictures, index: usize, regions: &[Region]) -> Result<Vec<Vec<[f32; 3]>>> {
    let info = pictures.data.info();
    let mut pixels = vec![0.0; info.pixels()];
    pictures.data.image(pictures.split, index, &mut pixels)?;
    let colors: Vec<[f32; 3]> = pixels.chunks_exact(info.channels.max(1)).map(color_of).collect();
    let mut rows: Vec<Vec<[f32; 3]>> = colors.chunks_exact(info.width.max(1)).map(<[_]>::to_vec).collect();
    for region in regions {
        let ([top, bottom], [left, right]) = (region.rows, region.columns);
        for (at, row) in rows.iter_mut().enumerate().skip(top).take(bottom + 1 - top.min(bottom)) {
            let whole = at == top || at == bottom;
            let line = row.iter_mut().enumerate().skip(left).take(right + 1 - left.min(right));
            line.filter(|(column, _)| whole || *column == left || *column == right)
                .for_each(|(_, pixel)| *pixel = FRAME);
        }
    }
    Ok(rows)
}

/// Pictures of one height side by side.
fn beside(name: String, pictures: &[Vec<Vec<[f32; 3]>>]) -> Named {
    let height = pictures.iter().map(Vec::len).max().unwrap_or(0);
    let mut colors = vec![];
    for row in 0..height {
        for (at, picture) in pictures.iter().enumerate() {
            colors.extend(std::iter::repeat_n([1.0; 3], if at > 0 { GAP } else { 0 }));
            colors.extend(picture.get(row).into_iter().flatten());
        }
    }
    Named { name, width: colors.len() / height.max(1), height, rgb: bytes(colors) }
}

fn each(told: &Told<'_>) -> Figure {
    let head = [
        "prototype",
        "class",
        "weight",
        "training picture",
        "likeness",
        "rows and columns seen",
        "of its class",
        "purity, %",
        "of",
        "in the object",
        "patches with it, %",
        "part",
        "share in it, %",
    ];
    let place = |peak: &Peak| {
        let ([top, bottom], [left, right]) = (peak.region.rows, peak.region.columns);
        (peak.picture.to_string(), format!("{top} to {bottom}, {left} to {right}"))
    };
    let row = |p: &Prototype| {
        let (picture, seen) = p.source.as_ref().map_or(("-".into(), "-".into()), place);
        let likeness = p.source.as_ref().map_or("-".into(), |peak| format!("{:.3}", peak.value));
        let (purity, value) =
            p.purity.as_ref().map_or(("-".into(), "-".into()), |found| (percent(found.share), found.value.clone()));
        let (part, share) =
            p.part.as_ref().map_or(("-".into(), "-".into()), |(part, share)| (part.clone(), percent(*share)));
        let hits = p.hits.map_or("-".into(), |[some, all]| format!("{some} of {all}"));
        let patches = p.patches.map_or("-".into(), |[share, _]| percent(share));
        let class = class_name(told, p.class).to_owned();
        let own = format!("{} of {}", p.own, p.nearest.len());
        let weight = format!("{:.2}", p.weight);
        vec![p.name.clone(), class, weight, picture, likeness, seen, own, purity, value, hits, patches, part, share]
    };
    Figure::Table {
        title: "Each prototype".into(),
        caption: "Training picture: its position in train, how much it has of the prototype (of distances 9.210, of angles 0.990 and of channels 1 at most: then the prototype is that place), and the rows and columns that the place sees. A purity of 100 % says that the nearest pictures have a thing in common, and not that the prototype looks at it.".into(),
        columns: head.map(str::to_owned).to_vec(),
        rows: told.found.prototypes.iter().map(row).collect(),
    }
}

/// Prototypes that the explained picture is shown with, at most.
const PARTS: usize = 8;

fn explained(told: &Told<'_>) -> Result<Figure> {
    let (found, explained) = (told.found, told.explained);
    let mut pictures = vec![];
    for part in explained.parts.iter().take(PARTS) {
        let prototype = &found.prototypes[part.prototype];
        let mut seen = vec![framed(&told.opened.pictures, explained.picture, &[part.region])?];
        if let Some(source) = &prototype.source {
            seen.push(framed(told.train, source.picture, &[source.region])?);
        }
        pictures.push(beside(format!("{:+.2}: {}", part.product(), prototype.name), &seen));
    }
    let caption = format!(
        "Picture {} of the split, of the class {}, told to be {}: what adds most to the logit {:.2} of this class, beside the training picture that the prototype is a place of.",
        explained.picture,
        class_name(told, explained.label),
        class_name(told, explained.class),
        explained.logit
    );
    Ok(Figure::Pictures { title: "One picture".into(), caption, pictures, zoom: 3 })
}

fn sum(told: &Told<'_>) -> Figure {
    let explained = told.explained;
    let mut rows: Vec<Vec<String>> = explained
        .parts
        .iter()
        .map(|part| {
            let name = told.found.prototypes[part.prototype].name.clone();
            vec![name, format!("{:.4}", part.value), format!("{:.4}", part.weight), format!("{:.4}", part.product())]
        })
        .collect();
    rows.push(vec!["sum".into(), String::new(), String::new(), format!("{:.4}", explained.sum())]);
    Figure::Table {
        title: "The same as a sum".into(),
        caption: format!(
            "What the picture has of each prototype times its weight; together they are the logit, {:.4}.",
            explained.logit
        ),
        columns: ["prototype", "how much of it", "weight", "product"].map(str::to_owned).to_vec(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_side_by_side() {
        let one = vec![vec![[0.0; 3]; 3]; 2];
        let found = beside("x".into(), &[one.clone(), one]);
        assert_eq!((found.width, found.height), (3 + GAP + 3, 2));
        let gray: Vec<u8> = found.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect();
        assert_eq!(gray[..8], [0, 0, 0, 255, 255, 0, 0, 0]);
    }
}
