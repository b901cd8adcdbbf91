"""`python -m gpu`, which `loadtest/gpu.sh` calls: measures model after model, and writes the results after each."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import onnxruntime

from compare.machine import this_machine
from gpu import report, trial
from gpu.meter import first_gpu
from gpu.plan import Plan, parser, plan
from gpu.provider import CPU, CUDA, RECORDED, TENSORRT, missing_for_tensorrt
from gpu.results import Results
from gpu.subject import subjects
from gpu.trial import say

NO_GPU = 3


def main() -> int:
    return measure(plan(parser().parse_args(), Path(onnxruntime.__file__).parent / "capi"))


def measure(plan: Plan) -> int:
    missing = [str(path) for path in (plan.scoria, plan.loadtest, plan.ort_lib) if not path.exists()]
    if missing:
        say(f"gpu.sh: there is no {', '.join(missing)}")
        return 1
    gpu = None if plan.is_dry else first_gpu()
    if gpu is None and not plan.is_dry:
        say("gpu.sh: no GPU: NVIDIA's management library, by the package nvidia-ml-py, shows none")
        return NO_GPU
    server_runtime = runtime(plan)
    if server_runtime is None:
        return 1
    no_tensorrt = "left out, as asked for" if not plan.has_tensorrt else missing_for_tensorrt()
    if plan.is_dry:
        providers, no_tensorrt = [CPU], "left out of a dry run"
    else:
        providers = [CUDA, *([RECORDED] if plan.has_recorded else []), *([] if no_tensorrt else [TENSORRT])]
    now = datetime.datetime.now(datetime.UTC)
    found = Results(now.isoformat(timespec="seconds"), this_machine(), gpu, plan.seconds, server_runtime, no_tensorrt)
    say(f"TensorRT: {no_tensorrt or 'present'}")
    for subject in subjects(plan.models, plan.precisions, is_tiny=plan.is_dry):
        for provider in providers:
            found.trials.append(trial.run(plan, subject, provider))
            path = found.write(plan.output)
            tables = plan.output / f"{found.stem}.md"
            tables.write_text(report.render(found))
            say(f"written to {path} and {tables}")
    return 0 if all(trial.is_good for trial in found.trials) else 1


def runtime(plan: Plan) -> str | None:
    """What the server runs models with; None, and said, if it cannot."""
    command = [str(plan.scoria), "runtime", "info", "-o", "json", "--engine", "ort", "--ort-lib", str(plan.ort_lib)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        say(f"gpu.sh: {plan.scoria} cannot use {plan.ort_lib}: {done.stderr.strip()}")
        return None
    return f"ONNX Runtime {json.loads(done.stdout)['version']}"


if __name__ == "__main__":
    sys.exit(main())
