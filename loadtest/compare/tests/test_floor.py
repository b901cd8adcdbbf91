"""ONNX Runtime in a process of its own."""

from compare.floor import Floor, Task
from compare.model import MODELS


def test_it_answers_each_task_and_goes():
    with Floor(MODELS["ridge"]) as floor:
        floor.tree.thaw()
        found = [floor.measure(Task(batch, threads)) for batch in (1, 32) for threads in (1, 2)]
        floor.tree.freeze()
    assert all(min(one.rows_per_s, one.run_p50_us, one.cpu_us_per_row) > 0 for one in found)
    assert floor.tree.members() == []
