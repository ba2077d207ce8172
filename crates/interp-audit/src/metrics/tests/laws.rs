//! What holds for all metrics.

use super::*;

#[test]
fn what_is_measured_of_a_picture_does_not_depend_on_the_batch_nor_on_other_methods() {
    let net = with_maps();
    let x = waves(&[3, 3, 6, 7], 0.7);
    let methods = || vec![plain("gradient"), plain("grad_cam"), plain("random")];
    for entry in METRICS {
        let [one, many] = [1, 8].map(|at_once| tried(&net, &x, entry.example, &methods(), at_once).unwrap());
        same(&one, &many, entry.name);
        let alone = tried(&net, &x.narrow(0, 0, 1).unwrap(), entry.example, &methods(), 8).unwrap();
        for (alone, many) in alone.iter().zip(&many) {
            for (alone, many) in
                alone.columns.iter().zip(&many.columns).filter(|(column, _)| column.name != "unrelated")
            {
                match (alone.values[0], many.values[0]) {
                    (Some(alone), Some(many)) => near(alone, many),
                    (alone, many) => assert_eq!(alone, many),
                }
            }
        }
        if entry.name != "agreement" {
            same(&tried(&net, &x, entry.example, &methods()[..1], 8).unwrap(), &many[..1], entry.name);
        }
    }
}

fn same(one: &[Scores], other: &[Scores], name: &str) {
    assert_eq!(one.len(), other.len(), "{name}");
    for (one, other) in one.iter().zip(other) {
        assert_eq!((one.columns.len(), one.curves.len()), (other.columns.len(), other.curves.len()), "{name}");
        for (one, other) in one.columns.iter().zip(&other.columns) {
            for values in one.values.iter().zip(&other.values) {
                assert!(
                    matches!(values, (Some(a), Some(b)) if (a - b).abs() < 1e-9) || values == (&None, &None),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_by_their_keys() {
    let net = with_maps();
    let x = waves(&[1, 3, 6, 7], 0.7);
    for (text, told) in [
        ("kind = \"deletion\"\nsteps = 0", "`steps` must be in 1..=10000, not 0"),
        ("kind = \"insertion\"\nsteps = 10001", "`steps` must be in 1..=10000, not 10001"),
        ("kind = \"pixel_flipping\"\nregion = 7", "`region` must be in 1..=6, not 7"),
        ("kind = \"pixel_flipping\"\nshare = 0.0", "`share` must be above 0 and at most 1, not 0"),
        ("kind = \"infidelity\"\nsamples = 0", "`samples` must be in 1..="),
        ("kind = \"infidelity\"\nlargest = 9", "`largest` must be in 1..=6, not 9"),
        ("kind = \"sensitivity_n\"\nsubsets = 2", "`subsets` must be in 3..="),
        ("kind = \"sensitivity_n\"\nshares = []", "`shares` must be in 1..=100, not 0"),
        ("kind = \"sensitivity_n\"\nshares = [0.5, nan]", "`shares` must be between 0 and 1, not NaN"),
        ("kind = \"max_sensitivity\"\nradius = -1.0", "`radius` must be 0 or more, not -1"),
        ("kind = \"max_sensitivity\"\nsamples = 0", "`samples` must be in 1..="),
        ("kind = \"agreement\"\ntop = 1.0", "`top` must be between 0 and 1, not 1"),
        ("kind = \"randomization\"\nstages = 0", "`stages` must be in 1..="),
        ("kind = \"randomization\"\ndraws = 0", "`draws` must be in 1..="),
        ("kind = \"randomization\"\nthreshold = nan", "`threshold` must be between 0 and 1, not NaN"),
    ] {
        let refused = tried(&net, &x, text, &[], 8).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(told), "{text}: {refused}");
    }
    assert!(
        tried(&net, &x, "kind = \"deletions\"", &[], 8).err().unwrap().to_string().contains("did you mean deletion?")
    );
    for entry in METRICS {
        let wrong = metric(entry.name, &"sead = 3".parse().unwrap()).err().unwrap().to_string();
        assert!(wrong.contains(entry.name) && wrong.contains("sead"), "{wrong}");
        assert!(METHODS.iter().all(|method| method.name != entry.name), "settings are told apart by names");
    }
}
