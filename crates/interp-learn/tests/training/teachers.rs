//! Learning from teachers: what they add to gradients, and what is kept of what they said.

use std::path::Path;

use interp_learn::distill::{Cache, Hints, SoftLabels, Teacher, Teaching};
use interp_net::Normalization;
use serde_json::json;

use super::*;

/// A teacher that sees pictures as they are, normalized by nothing.
fn teacher(loss: impl interp_learn::distill::Distillation + 'static, weight: f64, cache: Option<Cache>) -> Teacher {
    let mut network = network(true);
    network.params.set(0, (network.params.list()[0].value.clone() * 3.0).unwrap()).unwrap();
    let normalization = Normalization { mean: vec![0.0], std: vec![1.0] };
    let teaching = Teaching { name: "loss".into(), weight, warmup: 0.0, loss: Arc::new(loss) };
    Teacher { network, normalization, weight: 1.0, teachings: vec![teaching], cache: cache.map(Arc::new) }
}

fn soft(cache: Option<Cache>) -> Teacher {
    teacher(SoftLabels { temperature: 2.0, standardize: false }, 0.5, cache)
}

/// All parameters after each step.
fn taught(settings: &Train, teachers: &[Teacher]) -> interp_learn::Result<Vec<Vec<Vec<f32>>>> {
    let meets = |_: &Network| Ok(true);
    let augment = Augment { flip: true, ..Augment::default() };
    let task = Task { teachers, augment, ..task(settings, &[], &meets) };
    let mut trainer = Trainer::new(network(false), &task)?;
    let mut path = vec![];
    fit(&task, &mut trainer, &mut |event, trainer| {
        if let Event::Step { .. } = event {
            path.push(values(&trainer.network.params));
        }
        Ok(Flow::Continue)
    })?;
    Ok(path)
}

fn cache(folder: &Path, weights: &str) -> Cache {
    Cache::new(folder.join("logits"), json!({ "teacher": weights }), [40, 3], false)
}

fn settings() -> Train {
    Train { batch: 12, phase: vec![phase(3, 0.1)], ..two_steps() }
}

// With the labels left out and the student's own network as teacher nothing is learned; with two teachers of half the weight as much as with
// one.
#[test]
fn losses_of_teachers_add_up() {
    let labels_off = Train { label_weight: 0.0, ..settings() };
    let same = Teacher { network: network(false), ..soft(None) };
    let same = Teacher { normalization: Normalization { mean: vec![0.5], std: vec![0.25] }, ..same };
    let still = taught(&labels_off, &[same]).unwrap();
    close(&still[0].concat(), &values(&network(false).params).concat(), 1e-6);
    let one = taught(&settings(), &[soft(None)]).unwrap();
    let half = Teacher { weight: 0.5, ..soft(None) };
    let two = taught(&settings(), &[half.clone(), half]).unwrap();
    close(&two.last().unwrap().concat(), &one.last().unwrap().concat(), 1e-5);
    assert_ne!(one, taught(&settings(), &[]).unwrap());
    let grows = Teaching { warmup: 3.0, ..soft(None).teachings[0].clone() };
    assert_ne!(one, taught(&settings(), &[Teacher { teachings: vec![grows], ..soft(None) }]).unwrap());
}

#[test]
fn logits_from_disk_are_those_of_the_teacher_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let without = taught(&settings(), &[soft(None)]).unwrap();
    let first = taught(&settings(), &[soft(Some(cache(folder.path(), "a")))]).unwrap();
    assert_eq!(first, without);
    let files = std::fs::read_dir(folder.path().join("logits")).unwrap().count();
    assert_eq!(files, 3, "one for each epoch");
    // Another network in the teacher's place would say something else: it is not asked.
    let mut other = soft(Some(cache(folder.path(), "a")));
    other.network.params.set(0, (other.network.params.list()[0].value.clone() * -2.0).unwrap()).unwrap();
    // Each epoch leaves four of the 40 pictures out, the same in every training with this seed.
    assert_eq!(taught(&settings(), &[other]).unwrap(), without);
}

#[test]
fn logits_of_another_teacher_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    taught(&settings(), &[soft(Some(cache(folder.path(), "a")))]).unwrap();
    let error = taught(&settings(), &[soft(Some(cache(folder.path(), "b")))]).unwrap_err().to_string();
    assert!(error.contains("of another teacher") && error.contains("epoch-0001"), "{error}");
    let file = folder.path().join("logits/epoch-0001.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(taught(&settings(), &[soft(Some(cache(folder.path(), "a")))]).is_err(), "damaged");
    let few = Cache::new(folder.path().join("few"), json!({}), [39, 3], false);
    assert!(taught(&settings(), &[soft(Some(few))]).unwrap_err().to_string().contains("it is for 39 pictures"));
}

/// Trains, with a stop after the step number `stop`, a save, and a load.
fn interrupted(teachers: &[Teacher], stop: usize) -> Vec<f32> {
    let (settings, meets) = (settings(), |_: &Network| Ok(true));
    let task = Task { teachers, ..task(&settings, &[], &meets) };
    let mut trainer = Trainer::new(network(false), &task).unwrap();
    let mut steps = 0;
    let stopped = fit(&task, &mut trainer, &mut |event, _| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        Ok(if steps == stop { Flow::Stop } else { Flow::Continue })
    });
    if matches!(stopped.unwrap(), Fitted::Stopped) {
        let (snapshot, tensors) = trainer.save(&task).unwrap();
        trainer = Trainer::load(network(false), &task, snapshot, &tensors).unwrap();
        fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
    }
    values(&trainer.network.params).concat()
}

#[test]
fn what_was_stopped_goes_on_to_the_same_end() {
    let hints = || teacher(Hints { student: "relu".into(), teacher: "relu".into() }, 10.0, None);
    let whole = interrupted(&[hints()], usize::MAX);
    for stop in [1, 4, 7] {
        assert_eq!(interrupted(&[hints()], stop), whole, "stopped after {stop}");
        let folder = tempfile::tempdir().unwrap();
        let kept = interrupted(&[soft(Some(cache(folder.path(), "a")))], stop);
        assert_eq!(kept, interrupted(&[soft(None)], usize::MAX), "with logits on disk, stopped after {stop}");
    }
}
