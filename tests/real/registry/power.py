"""What a disk may hold after a power cut, from the system calls that led up to it.

A file's bytes are safe once it is synced, a name once its folder is. Of the rest anything may have reached the disk: any of the
bytes, any of the names, in any order. Only a rename is done or not done. That is more than most file systems do to their users,
and no more than POSIX allows.
"""

import os
import re

CALL = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\)\s+= (-?\d+)(<([^>]*)>)?")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")

TRACED = "openat,write,pwrite64,fsync,fdatasync,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate"


def strace(folder):
    """A tracer before a command, one file for each of its threads."""
    return ["strace", "-ff", "-qq", "-ttt", "-y", "-xx", "-s", "1000000", "-e", f"trace={TRACED}", "-o", str(folder / "calls")]


def text(field):
    found = TEXT.search(field)
    assert found and not found[2], f"a text was cut: {field[:80]}"
    return bytes.fromhex(found[1].replace("\\x", ""))


def plain(path):
    """strace writes the paths of descriptors in hexadecimal, too."""
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path


def operations(folder, root):
    """What the traced threads did below `root`, in the order of time."""
    found = []
    for trace in folder.glob("calls*"):
        for line in trace.read_text(errors="replace").splitlines():
            call = CALL.match(line)
            if not call or int(call[4]) < 0:
                continue
            operation = read(call[2], call[3], int(call[4]), root)
            if operation:
                found.append((float(call[1]), operation))
    return sorted(found, key=lambda one: one[0])


def read(name, arguments, result, root):
    """One call as `(kind, path, …)`, if it is about something below `root`."""

    def below(path):
        path = os.path.normpath(plain(path))
        return path[len(root) + 1 :] if path.startswith(root + "/") else "" if path == root else None

    if name in ("write", "pwrite64"):
        descriptor = DESCRIPTOR.match(arguments)
        path = below(descriptor[2]) if descriptor else None
        assert name == "write" or path is None or arguments.endswith(", 0"), "only the first piece is written by its place"
        return path and ("write", path, text(arguments)[:result])
    if name in ("fsync", "fdatasync"):
        path = below(DESCRIPTOR.match(arguments)[2])
        return None if path is None else ("sync", path)
    paths = [below(bytes.fromhex(found[1].replace("\\x", "")).decode()) for found in TEXT.finditer(arguments)]
    if not paths or paths[0] is None:
        return None
    if name == "openat":
        return ("create", paths[0]) if "O_CREAT" in arguments else None
    if name in ("linkat", "rename", "renameat", "renameat2"):
        return ("link" if name == "linkat" else "rename", paths[0], paths[1])
    if name in ("unlink", "unlinkat", "rmdir"):
        return ("unlink", paths[0])
    if name in ("mkdir", "mkdirat"):
        return ("mkdir", paths[0])
    raise AssertionError(f"{name} below the registry")


class File:
    def __init__(self):
        self.bytes, self.synced = b"", b""


class Folder:
    def __init__(self):
        self.names, self.synced, self.pending = {}, {}, []


class Disk:
    """A disk as programs see it, and what of it would survive."""

    def __init__(self):
        self.root = Folder()

    def at(self, path):
        node = self.root
        for part in path.split("/") if path else []:
            node = node.names[part]
        return node

    def change(self, changes):
        """Names that come and go together, all in one folder."""
        folder = self.at(os.path.dirname(changes[0][0]))
        named = [(os.path.basename(path), node) for path, node in changes]
        for name, node in named:
            if node is None:
                folder.names.pop(name, None)
            else:
                folder.names[name] = node
        folder.pending.append(named)

    def do(self, operation, ignores_syncs=False):
        kind, path, *rest = operation
        if kind == "create":
            if os.path.basename(path) not in self.at(os.path.dirname(path)).names:
                self.change([(path, File())])
        elif kind == "mkdir":
            self.change([(path, Folder())])
        elif kind == "write":
            self.at(path).bytes += rest[0]
        elif kind == "link":
            self.change([(rest[0], self.at(path))])
        elif kind == "rename":
            assert os.path.dirname(path) == os.path.dirname(rest[0]), "a rename between folders"
            self.change([(rest[0], self.at(path)), (path, None)])
        elif kind == "unlink":
            self.change([(path, None)])
        elif not ignores_syncs:
            node = self.at(path)
            if isinstance(node, File):
                node.synced = node.bytes
            else:
                node.synced, node.pending = dict(node.names), []

    def after_a_cut(self, chance):
        """One of the things that may be found when the power is back: the paths of files, with their bytes."""
        found = {}

        def look(folder, path):
            names = dict(folder.synced)
            for named in folder.pending:
                if chance.random() < 0.5:
                    for name, node in named:
                        if node is None:
                            names.pop(name, None)
                        else:
                            names[name] = node
            for name, node in names.items():
                at = f"{path}/{name}" if path else name
                if isinstance(node, Folder):
                    look(node, at)
                elif node.bytes == node.synced:
                    found[at] = node.bytes
                else:
                    length = chance.randint(len(node.synced), len(node.bytes))
                    found[at] = node.bytes[:length] + bytes(len(node.bytes) - length) * chance.randint(0, 1)

        look(self.root, "")
        return found
