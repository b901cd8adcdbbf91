//! Complaints of the runtime that are about the machine it is on, and not about the model: what is missing, and how to get it.
//!
//! The words are those of ONNX Runtime 1.31, of glibc and of the system's loader. Nothing here looks at the machine.

/// Something that the machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub what: String,
    pub remedy: String,
}

/// Words of the system's errors, in lower case, with what they mean and what helps. `errno` numbers are Linux's.
const WORDS: [(&[&str], &str, &str); 6] = [
    (
        &["pthread_create failed", "resource temporarily unavailable", "thread constructor failed"],
        "no more threads can be started",
        "raise the limit on tasks (`ulimit -u`; TasksMax= of systemd; --pids-limit of Docker; the pod's limit of PIDs), or have fewer \
         threads (--intra-op-threads)",
    ),
    (
        &["too many open files", "system error number 24", "errcode = 24"],
        "the limit on open files is reached",
        "raise it (`ulimit -n 65536`; LimitNOFILE= of systemd; --ulimit nofile= of Docker)",
    ),
    (
        &["permission denied", "system error number 13", "errcode = 13"],
        "a file may not be read or written by this user",
        "give the user whom the server runs as the right to it (`ls -l`, and `id` for who it is)",
    ),
    (
        &["no space left on device", "system error number 28", "errcode = 28"],
        "a disk is full",
        "free some space; /tmp, /dev/shm and the folder that the message names are where it is written",
    ),
    (
        &["read-only file system", "system error number 30", "errcode = 30"],
        "a file cannot be written, as its disk is read-only",
        "mount a folder there that can be written, or name another in the setting that the message is about",
    ),
    (
        &["failed to parse processor information", "failed to initialize pytorch cpuinfo"],
        "the processor cannot be looked at",
        "see that /proc and /sys are mounted for this process",
    ),
];

/// What is missing, if the message is about that. Memory is not among it: whether a model or a machine is to blame for it is
/// another question.
pub fn lacking(message: &str) -> Option<Lack> {
    if let Some(locale) = locale(message) {
        return Some(Lack {
            what: format!("the locale {locale} is not installed, which an operator of the model asks for"),
            remedy: locale_remedy(locale),
        });
    }
    if let Some(version) = symbol_version(message) {
        return Some(Lack {
            what: format!("the system's C or C++ library is older than the runtime needs ({version})"),
            remedy: "use a newer distribution, or the image of the server".to_owned(),
        });
    }
    if let Some(library) = library(message) {
        let package = match library {
            name if name.starts_with("libstdc++") => "`apt-get install libstdc++6`, or `dnf install libstdc++`",
            name if name.starts_with("libgomp") => "`apt-get install libgomp1`, or `dnf install libgomp`",
            name if name.starts_with("libgcc_s") => "`apt-get install libgcc-s1`, or `dnf install libgcc`",
            _ => {
                "install the package that has it, and name its folder in LD_LIBRARY_PATH if it is none of the system's"
            }
        };
        return Some(Lack { what: format!("the library {library} is missing"), remedy: package.to_owned() });
    }
    let lower = message.to_lowercase();
    let found = WORDS.iter().find(|(words, ..)| words.iter().any(|words| lower.contains(words)));
    found.map(|(_, what, remedy)| Lack { what: (*what).to_owned(), remedy: (*remedy).to_owned() })
}

/// The locale that the runtime could not construct.
fn locale(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Failed to construct locale with name:")?;
    let name = rest.trim_start().split([':', ' ', '\n']).next()?;
    (!name.is_empty()).then_some(name)
}

fn locale_remedy(locale: &str) -> String {
    let (input, charset) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
    format!(
        "`apt-get install locales && localedef -i {input} -f {charset} {locale}`, or `dnf install glibc-langpack-{}`, and start again; \
         `locale -a` lists those that are there. If there is none of this name, export the model with another",
        input.split('_').next().unwrap_or(input),
    )
}

/// `GLIBC_2.38`, where that is what a library wants of another.
fn symbol_version(message: &str) -> Option<&str> {
    let (before, _) = message.split_once("' not found (required by")?;
    let version = before.rsplit('`').next()?;
    (version.starts_with("GLIBC") || version.starts_with("CXXABI")).then_some(version)
}

/// The library that the system's loader did not find.
fn library(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(": cannot open shared object file")?;
    let name = before.rsplit([' ', '/']).next()?;
    name.contains(".so").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_named_with_how_to_get_it() {
        for (message, what, remedy) in [
            (
                "Exception during initialization: string_normalizer.cc:90 Failed to construct locale with name:en_US.UTF-8:locale::facet::\
                 _S_create_c_locale name not valid:Please, install necessary language-pack-en and configure locales",
                "the locale en_US.UTF-8 is not installed",
                "localedef -i en_US -f UTF-8 en_US.UTF-8",
            ),
            ("Failed to construct locale with name:tr_TR:x", "the locale tr_TR", "glibc-langpack-tr"),
            (
                "pthread_create failed, error code: 11 error msg: Resource temporarily unavailable",
                "threads",
                "TasksMax",
            ),
            ("Load model from /m.onnx failed: system error number 24", "open files", "ulimit -n"),
            ("open file \"w.bin\" fail, errcode = 13 - Permission denied", "may not be read", "ls -l"),
            ("write failed: No space left on device", "disk is full", "free some"),
            ("mkdir: Read-only file system", "read-only", "mount"),
            (
                "libstdc++.so.6: cannot open shared object file: No such file or directory",
                "libstdc++.so.6 is missing",
                "libstdc++6",
            ),
            (
                "/lib/libc.so.6: version `GLIBC_2.38' not found (required by /o/libonnxruntime.so)",
                "GLIBC_2.38",
                "newer distribution",
            ),
        ] {
            let lack = lacking(message).unwrap_or_else(|| panic!("{message}"));
            assert!(lack.what.contains(what), "{}", lack.what);
            assert!(lack.remedy.contains(remedy), "{}", lack.remedy);
        }
        for message in ["Invalid model", "std::bad_alloc", "x.txt: cannot open shared object file", ""] {
            assert_eq!(lacking(message), None, "{message}");
        }
    }
}
