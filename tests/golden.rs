//! Transcripts of clusters in virtual time: commands in, what happened out, for people to read.
//!
//! `BOOTH_WRITE_GOLDEN=1 cargo test --test golden` writes them anew; look at the difference.
#![allow(clippy::unwrap_used)]

mod world;

use std::path::Path;

#[test]
fn transcripts_are_what_the_members_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cluster");
    let write = std::env::var_os("BOOTH_WRITE_GOLDEN").is_some();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let golden = std::fs::read_to_string(&path).unwrap();
        let fresh = world::script::replay(&golden);
        count += 1;
        if write {
            std::fs::write(&path, fresh).unwrap();
        } else if fresh != golden {
            let differs = golden.lines().zip(fresh.lines()).find(|(old, new)| old != new);
            panic!("{} differs, first here: {differs:#?}\nnow it reads:\n{fresh}", path.display());
        }
    }
    assert!(count >= 6, "{count} transcripts");
}
