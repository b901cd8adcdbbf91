"""Real processes: found with all that they started, stopped, resumed and ended."""

import os
import select
import subprocess

import pytest

from compare.process_tree import ProcessTree, stat_of

# A parent, its child, and one that was given up by its parent; each tells its number and waits for its input to end.
FAMILY = """
exec 3<&0
echo $$
(echo $(exec sh -c 'echo $PPID'); cat <&3 >/dev/null) &
( (echo $(exec sh -c 'echo $PPID'); cat <&3 >/dev/null) & )
cat <&3 >/dev/null
"""


@pytest.fixture
def family():
    process = subprocess.Popen(
        ["sh", "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = {int(process.stdout.readline()) for _ in range(3)}
    tree = ProcessTree(process.pid)
    yield tree, pids, process
    tree.kill()
    process.communicate()


def test_all_that_was_started_is_found(family):
    tree, pids, process = family
    members = tree.members()
    assert process.pid in pids
    assert pids <= {member.pid for member in members}
    assert os.getpid() not in {member.pid for member in members}
    # Parents come before their children.
    order = [member.pid for member in members]
    assert all(order.index(member.parent) < place for place, member in enumerate(members) if member.parent in order)


def test_it_is_stopped_and_resumed_as_one(family):
    tree, _, process = family
    tree.freeze()
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    # A stop is delivered at the latest when its process would run again, which a stopped one does not.
    assert stat_of(process.pid).state == "T"
    tree.thaw()
    os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOWAIT)
    assert stat_of(process.pid).state != "T"


def test_memory_is_counted_over_all(family):
    tree, _, process = family
    memory = tree.memory()
    alone = stat_of(process.pid).rss_pages * os.sysconf("SC_PAGE_SIZE")
    # The three share the pages of their programs.
    assert memory.rss_bytes > alone
    assert 0 < memory.pss_bytes < memory.rss_bytes


def test_nothing_is_left(family):
    tree, _, process = family
    # Readable once its process has ended (pidfd_open(2)), whoever its parent is by then.
    endings = [os.pidfd_open(member.pid) for member in tree.members()]
    tree.kill()
    process.wait()
    for ending in endings:
        select.select([ending], [], [])
        os.close(ending)
    assert tree.members() == []
