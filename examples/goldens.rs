//! Rewrites the golden files in `schemas/`; `make reference` runs it.

#[path = "../tests/support/golden.rs"]
mod golden;

fn main() -> std::io::Result<()> {
    for (path, text) in golden::files() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}
