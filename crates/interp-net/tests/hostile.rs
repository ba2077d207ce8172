//! Files that mean harm, or are no networks: each is refused with a reason, at once and in little memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use interp_net::{Checkpoint, NetError, Unread};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What is said of a file of these bytes.
fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    fs::write(&path, bytes).unwrap();
    let said = Checkpoint::read(&path).unwrap_err().to_string();
    said.strip_prefix(&format!("{}: ", path.display())).expect("the path comes first").to_owned()
}

fn assert_refused(bytes: &[u8], expected: &str) {
    let said = refused(bytes);
    assert!(said.contains(expected), "{said}\nfor {expected}");
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn integer(number: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &number.to_le_bytes()].concat()
}

fn tuple(numbers: &[i64]) -> Vec<u8> {
    [b"(".to_vec(), numbers.iter().flat_map(|n| integer(*n)).collect(), b"t".to_vec()].concat()
}

/// A tensor of f32 as PyTorch pickles it: key and count of the storage, offset, size, stride.
fn tensor(key: &str, count: i64, offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let storage =
        [b"(".to_vec(), text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(key), text("cpu"), integer(count)];
    let arguments = [integer(offset), tuple(size), tuple(stride), b"\x89ccollections\nOrderedDict\n)R".to_vec()];
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage.concat(),
        b"tQ".to_vec(),
        arguments.concat(),
        b"tR".to_vec(),
    ]
    .concat()
}

fn state(tensors: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = tensors.iter().flat_map(|(name, tensor)| [text(name), tensor.clone()].concat()).collect();
    [b"\x80\x02}(".to_vec(), entries, b"u.".to_vec()].concat()
}

/// A zip archive as PyTorch writes it.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("model/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, bytes) in storages {
        zip.start_file(format!("model/data/{key}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive of one tensor of a storage of 16 bytes.
fn of_tensor(count: i64, offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    archive(&state(&[("weight", tensor("0", count, offset, size, stride))]), &[("0", &[0; 16])])
}

fn pytorch(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pth").join(name)).unwrap()
}

/// The pickles of a file before 1.6, without its storages.
fn legacy(state: &[u8], keys: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    [magic, &b"\x80\x02M\xe9\x03."[..], b"\x80\x02}.", state, keys].concat()
}

#[test]
fn archives_made_here_are_as_pytorch_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    fs::write(&path, of_tensor(4, 1, &[3, 1], &[1, 7])).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap().tensors()["weight"].dims(), [3, 1]);
    let keys = [b"\x80\x02](", &text("0")[..], b"e."].concat();
    let storage = [&4u64.to_le_bytes()[..], &[0; 16]].concat();
    fs::write(&path, [legacy(&state(&[("weight", tensor("0", 4, 1, &[3], &[1]))]), &keys), storage].concat()).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap().tensors()["weight"].dims(), [3]);
}

#[test]
fn os_system_in_reduce_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("was_run");
    let call =
        [b"\x80\x02cos\nsystem\n".to_vec(), text(&format!("touch {}", marker.display())), b"\x85R.".to_vec()].concat();
    for file in [archive(&call, &[]), legacy(&call, b"")] {
        assert_refused(&file, "holds code: `os.system`; only tensors are read: save the state dict with torch.save");
    }
    assert!(!marker.exists());
}

#[test]
fn zip_bombs_are_refused_by_declared_size() {
    // 4 MiB in less than 10 kB.
    assert_refused(&pytorch("refused_bomb.pth"), "it is packed or encrypted");
    // Stored, and larger than it is by what the directory says: 2^32 - 2 bytes, packed and unpacked.
    let mut declared = of_tensor(4, 0, &[4], &[1]);
    let entry = declared.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    declared[entry + 20..entry + 24].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
    declared[entry + 24..entry + 28].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
    assert_refused(&declared, "data/0: it reaches beyond the file");
    declared[entry + 20..entry + 24].copy_from_slice(&16u32.to_le_bytes());
    assert_refused(&declared, "data/0: it is packed or encrypted");
}

#[test]
fn zip_bombs_of_overlapping_entries_are_refused() {
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let tensors: Vec<_> = keys.iter().map(|key| (key.as_str(), tensor(key, 1 << 18, 0, &[1], &[1]))).collect();
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("model/data.pkl", stored).unwrap();
    zip.write_all(&state(&tensors)).unwrap();
    zip.start_file("model/data/0", stored).unwrap();
    zip.write_all(&vec![0; 1 << 20]).unwrap();
    keys[1..].iter().for_each(|key| zip.shallow_copy_file("model/data/0", &format!("model/data/{key}")).unwrap());
    assert_refused(&zip.finish().unwrap().into_inner(), "data/1: entries of the archive overlap");
}

#[test]
fn every_truncation_of_an_archive_is_refused() {
    let whole = of_tensor(4, 0, &[4], &[1]);
    assert_refused(&whole[..whole.len() - 1], "was the download broken off?");
    for length in 1..whole.len() {
        refused(&whole[..length]);
    }
}

#[test]
fn flipped_bits_of_numbers_are_found_by_the_checksum() {
    let mut file = of_tensor(4, 0, &[4], &[1]);
    let numbers = file.windows(16).position(|window| window == [0; 16]).unwrap();
    file[numbers + 5] ^= 1;
    assert_refused(&file, "data/0: Invalid checksum: the file was damaged");
}

#[test]
fn no_flipped_byte_does_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    for name in ["module_legacy.bin", "module.pt"] {
        let whole = pytorch(name);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= [0x01, 0x80, 0xff][at % 3];
            fs::write(&path, bytes).unwrap();
            drop(Checkpoint::read(&path));
        }
    }
}

#[test]
fn tensors_of_2_to_the_60_numbers_are_refused() {
    assert_refused(
        &of_tensor(1 << 60, 0, &[1 << 60], &[1]),
        "storage 0: 16 bytes, where its pickle says 1152921504606846976",
    );
    assert_refused(&of_tensor(4, 0, &[1 << 60], &[0]), "tensor `weight`: with those before it more than");
    assert_refused(&of_tensor(4, 0, &[1 << 60, 1 << 60], &[0, 0]), "tensor `weight`: with those before it more than");
    assert_refused(&of_tensor(i64::MAX, 0, &[1], &[1]), "where its pickle says 9223372036854775807 numbers of 4");
}

#[test]
fn many_tensors_of_one_storage_may_not_take_more_than_the_file_does() {
    let tensors: Vec<(String, Vec<u8>)> =
        (0..200).map(|n| (n.to_string(), tensor("0", 1 << 16, 0, &[1 << 16], &[1]))).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let file = archive(&state(&tensors), &[("0", &vec![0; 1 << 18])]);
    assert_refused(&file, "bytes, four times the file");
}

#[test]
fn offsets_and_strides_beyond_the_storage_are_refused() {
    for (offset, size, stride) in [
        (1, &[4][..], &[1][..]),
        (4, &[1], &[1]),
        (0, &[2, 2], &[3, 1]),
        (0, &[2], &[4]),
        (0, &[2], &[i64::MAX]),
        (0, &[3, 3], &[i64::MAX, i64::MAX]),
        (i64::MAX, &[1], &[1]),
        (i64::MAX, &[2], &[i64::MAX]),
        (0, &[2, 2], &[1]),
        (0, &[], &[1]),
    ] {
        assert_refused(&of_tensor(4, offset, size, stride), "beyond its storage of 4 numbers");
    }
}

#[test]
fn negative_sizes_strides_and_offsets_are_refused() {
    for (offset, size, stride) in [(0, &[-1][..], &[1][..]), (-1, &[1], &[1]), (0, &[2], &[-1]), (0, &[-1, 0], &[1, 1])]
    {
        assert_refused(&of_tensor(4, offset, size, stride), "negative");
    }
    assert_refused(&of_tensor(-4, 0, &[1], &[1]), "16 bytes, where its pickle says -4 numbers of 4");
}

#[test]
fn shapes_of_many_dimensions_and_of_no_integers_are_refused() {
    assert_refused(&of_tensor(4, 0, &[1; 9], &[1; 9]), "no tuple of up to 8 integers");
    let whole = tensor("0", 4, 0, &[4], &[1]);
    let offset = whole.windows(10).position(|window| window == integer(0)).unwrap();
    let odd = [&whole[..offset], &text("x"), &whole[offset + 10..]].concat();
    assert_refused(&archive(&state(&[("weight", odd)]), &[]), "a tensor without a storage and a first number");
}

#[test]
fn deep_nesting_is_refused_without_depth() {
    let nested = [&b"]".repeat(1_000_000), &b"a".repeat(999_999)[..], b"."].concat();
    assert_refused(&archive(&nested, &[]), "holds no state dict");
    let dicts = [&b"}N".repeat(300_000), &b"}"[..], &b"s".repeat(300_000), b"."].concat();
    assert_refused(&archive(&dicts, &[]), "holds no state dict");
}

// Each list holds the one before ten times: 10^100000 laughs for who writes them out.
#[test]
fn a_billion_laughs_are_refused() {
    let laughs = b"](h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00eq\x00".repeat(100_000);
    let file = archive(&[b"]q\x00", &laughs[..], b"."].concat(), &[]);
    assert_refused(&file, "holds no state dict");
    let endless = archive(&[&b"N".repeat(5_000_000)[..], b"."].concat(), &[]);
    assert_refused(&endless, "more than 4194304 instructions");
    let kept = archive(&[b"N", &b"\x94".repeat(5_000_000)[..], b"."].concat(), &[]);
    assert_refused(&kept, "more than 4194304 instructions");
}

#[test]
fn lengths_beyond_the_pickle_are_refused_without_memory() {
    for claim in [&b"X\xff\xff\xff\xff"[..], b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"T\xff\xff\xff\x7f", b"\x8a\xff"]
    {
        assert_refused(&archive(claim, &[]), "it ends before");
    }
    assert_refused(&archive(b"ctorch", &[]), "a name without an end");
}

#[test]
fn storages_of_old_files_that_reach_beyond_them_are_refused() {
    let state = state(&[("weight", tensor("0", 4, 0, &[4], &[1]))]);
    let keys = |keys: &str| [b"\x80\x02](", &text(keys)[..], b"e."].concat();
    let with = |keys: &[u8], count: u64| [legacy(&state, keys), count.to_le_bytes().to_vec(), vec![0; 16]].concat();
    assert_refused(&with(&keys("0"), 1 << 60), "0: the file ends within it");
    assert_refused(&with(&keys("0"), u64::MAX), "0: the file ends within it");
    assert_refused(&with(&keys("0"), 3), "storage 0: 12 bytes, where its pickle says 4 numbers of 4");
    assert_refused(&with(&keys("1"), 4), "1: a storage of no tensor");
    assert_refused(&with(b"\x80\x02].", 4), "0: no such storage");
    assert_refused(&legacy(&state, &keys("0")), "0: the file ends before it");
    let whole = with(&keys("0"), 4);
    (1..whole.len()).for_each(|length| drop(refused(&whole[..length])));
    assert_refused(b"\x80\x04\x95\x04\0\0\0\0\0\0\0}q\0.", "a pickle that torch.save has not written");
}

#[test]
fn one_name_for_two_tensors_is_refused() {
    let tensors = ["weight", "weight"].map(|name| (name, tensor("0", 4, 0, &[4], &[1])));
    assert_refused(&archive(&state(&tensors), &[("0", &[0; 16])]), "tensor `weight`: is there twice");
}

fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; bytes]].concat()
}

#[test]
fn safetensors_with_hostile_headers_are_refused() {
    let tensor = |name: &str, shape: &str, [from, to]: [usize; 2]| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let of = |tensors: &[String]| safetensors(&format!("{{{}}}", tensors.join(",")), 32);
    for file in [
        [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat(),
        safetensors("{no JSON}", 0),
        safetensors(&format!("{{\"a\":{}", "[".repeat(100_000)), 0),
        of(&[tensor("a", "[4]", [0, 16]), tensor("b", "[4]", [8, 24])]),
        of(&[tensor("a", "[4]", [16, 32]), tensor("b", "[4]", [32, 48])]),
        of(&[tensor("a", "[4]", [16, 0])]),
        of(&[tensor("a", "[1152921504606846976,1152921504606846976]", [0, 32])]),
        of(&[tensor("a", "[9]", [0, 32])]),
        of(&[tensor("a", "[-8]", [0, 32])]),
    ] {
        assert_refused(&file, "not a whole safetensors file");
    }
    let truth = safetensors(r#"{"mask":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#, 8);
    assert_refused(&truth, "tensor `mask`: unsupported safetensor dtype");
}

#[test]
fn what_is_no_network_is_told_by_what_it_is() {
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 102400\n";
    for (bytes, said) in [
        (page.as_bytes(), "this is a web page, not a network: was the download a login page?"),
        (b"\xef\xbb\xbf\n <html></html>", "this is a web page, not a network: was the download a login page?"),
        (pointer.as_bytes(), "this is a Git LFS pointer: it stands for a file of 102400 bytes, which `git lfs pull`"),
        (b"", "this file is empty: was the download broken off?"),
        (b"Repository not found\n", "this is a text file that begins with `Repository not found `, not a network"),
        (b"{\"architectures\": [\"ResNet\"]}", "this is JSON without a `weight_map`"),
        (&b"{\"a\":".repeat(100_000), "this is JSON without a `weight_map`"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "neither safetensors nor a file of PyTorch"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "this is a file packed by gzip (unpack it first), not a network"),
        (&archive_of("other.txt"), "this is a zip archive without the `data.pkl` of PyTorch, not a network"),
    ] {
        assert_refused(bytes, said);
    }
}

fn archive_of(name: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    zip.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn folders_and_devices_are_refused() {
    let problem = |path: &Path| match Checkpoint::read(path).unwrap_err() {
        NetError::Unread { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(problem(tempfile::tempdir().unwrap().path()), Unread::Folder);
    if cfg!(unix) {
        assert_eq!(problem(Path::new("/dev/zero")), Unread::NoFile);
    }
}
