//! Writing a version's files into a folder, verified.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::blobs::Progress;
use super::store::sync_folder;
use super::{FilePath, ModelVersion, Models, RegistryError, StoredFile};

impl Models {
    /// Writes all files of a version into a new folder: the model's own as they were, the samples beside them, golden requests
    /// in `golden/`. A folder that could not be completed is removed.
    pub async fn download(
        &self,
        version: &ModelVersion,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<PathBuf, RegistryError> {
        // It must not be there: files of two versions side by side are neither.
        fs::create_dir_all(folder.parent().unwrap_or(Path::new("."))).and_then(|()| fs::create_dir(folder)).map_err(
            |source| match source.kind() {
                io::ErrorKind::AlreadyExists => RegistryError::Invalid(format!(
                    "{} is there already: name a folder that is not, for the version's files alone",
                    folder.display()
                )),
                _ => RegistryError::File { path: folder.to_owned(), source },
            },
        )?;
        let outcome = self.write_files(version, folder, progress).await;
        if outcome.is_err() {
            drop(fs::remove_dir_all(folder));
        }
        outcome.map(|()| version.manifest.content.model.in_folder(folder))
    }

    async fn write_files(
        &self,
        version: &ModelVersion,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<(), RegistryError> {
        let content = &version.manifest.content;
        let samples = content.sample_input.iter().chain(&content.sample_output);
        let beside = samples.filter(|sample| content.files.iter().all(|file| file.path != sample.path));
        for file in content.files.iter().chain(beside) {
            self.write_file(file, &file.path, folder, progress).await?;
        }
        for file in &content.golden {
            let path = FilePath::parse(&format!("golden/{}", file.path));
            let path = path.map_err(|error| RegistryError::Invalid(error.to_string()))?;
            self.write_file(file, &path, folder, progress).await?;
        }
        sync_folder(folder).map_err(|source| RegistryError::File { path: folder.to_owned(), source })
    }

    async fn write_file(
        &self,
        file: &StoredFile,
        path: &FilePath,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<(), RegistryError> {
        let to = path.in_folder(folder);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|source| RegistryError::File { path: parent.to_owned(), source })?;
        self.store().fetch_blob(file, &to, progress).await
    }
}
