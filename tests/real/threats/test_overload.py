"""Three times as many requests as can be run: the surplus is refused at once, the rest served, and then all is well again."""

import asyncio
import re
import time

from slow_model import SLOW_BODY

PEAK_S = 2
OVERLOAD_S = 5
AFTER_S = 2
SURPLUS = 3

REQUEST = (
    f"POST /api/v1/service/slow/score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(SLOW_BODY)}\r\n\r\n"
    f"{SLOW_BODY}"
).encode()


class Load:
    """An open loop: requests are sent when they are due, whatever has become of those before."""

    def __init__(self, server):
        self._address = server.host_and_port
        self.answers = []

    async def one(self):
        begun = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            writer.write(REQUEST)
            answer = await asyncio.wait_for(reader.read(), 30)
            writer.close()
        except OSError as error:
            answer = repr(error).encode()
        status = re.match(rb"HTTP/1\.1 (\d+) ", answer)
        retry = re.search(rb"\r\nretry-after: (\d+)\r\n", answer)
        self.answers.append((status and int(status[1]), retry and int(retry[1]), time.monotonic() - begun))

    async def at_rate(self, per_second, seconds):
        """So many in each second; gives what came of these."""
        self.answers, tasks = [], []
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        begun = loop.time()
        for index in range(int(per_second * seconds)):
            loop.call_at(begun + index / per_second, lambda: tasks.append(loop.create_task(self.one())))
        loop.call_at(begun + seconds, ended.set)
        await ended.wait()
        await asyncio.gather(*tasks)
        return list(self.answers)

    async def peak(self, clients, seconds):
        """How many are served in a second to a closed loop of so many clients."""
        end = time.monotonic() + seconds

        async def client():
            while time.monotonic() < end:
                await self.one()

        self.answers = []
        await asyncio.gather(*(client() for _ in range(clients)))
        return sum(status == 200 for status, _, _ in self.answers) / seconds


def test_three_times_the_load_is_shed_by_429_and_gone_at_once_afterwards(serve, slow_model, figure):
    settings = {"workers": 1, "queue_max_wait_ms": 200, "scoring_timeout_ms": 10_000}
    with serve(slow_model, **settings) as server:
        load = Load(server)

        async def scenario():
            peak = await load.peak(4, PEAK_S)
            return peak, await load.at_rate(SURPLUS * peak, OVERLOAD_S), await load.at_rate(peak / 2, AFTER_S)

        peak, during, after = asyncio.run(scenario())
    assert {status for status, _, _ in during} == {200, 429}, during[:5]
    assert all(retry >= 1 for status, retry, _ in during if status == 429)
    served = sorted(took for status, _, took in during if status == 200)
    shed = sorted(took for status, _, took in during if status == 429)
    goodput = len(served) / OVERLOAD_S
    figure(
        f"peak {peak:.0f}/s; of {len(during)} in {OVERLOAD_S} s at {SURPLUS} times that, {len(served)} served "
        f"({goodput / peak:.0%} of the peak, p99 {1000 * served[int(0.99 * len(served))]:.0f} ms), {len(shed)} shed "
        f"(median {1000 * shed[len(shed) // 2]:.1f} ms)"
    )
    # Not more than a third: the load itself takes from the processors that it measures, and others may, too.
    assert goodput > peak / 3
    assert [status for status, _, _ in after] == [200] * len(after)
