"""What hosts print that can't be had here, and what is made of it: old tools, odd mounts, unsure clocks."""

from __future__ import annotations

from typing import Any

import pytest

from model.observation import Failure, Outcome
from probes.host_exporter import read_samples
from probes.host_judge import Limits, judge
from probes.host_script import NotUnderstoodError, milli, read_output
from probes.host_state import ClockOffset, FileSystem, HostState, clock_offset

OUTPUT = r"""Welcome to db1!
@began 1700000000.250000000
@mounts
22 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 8:17 / /srv/my\040data rw,noatime shared:2 master:3 - xfs /dev/sdb1 rw,attr2
24 22 0:50 / /var/lib/docker/x rw - overlay overlay rw,lowerdir=/a:/b
25 22 0:22 / /run rw - tmpfs tmpfs rw
26 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
27 22 0:60 / /mnt/nas rw - nfs4 nas:/export rw
28 22 8:33 / /broken rw - ext4 /dev/sdc1 rw
29 28 8:33 / /broken rw,noatime - ext4 /dev/sdc1 ro,errors=remount-ro
@space
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/sda1            10000     9990        -5     101% /
/dev/sdb1           500000   100000    400000      20% /srv/my data
overlay              10000     9990         0     100% /var/lib/docker/x
tmpfs                 1000        0      1000       0% /run
/dev/loop0             100      100         0     100% /snap/core
/dev/sdc1             2000     1000      1000      50% /broken
@inodes
Filesystem      Inodes IUsed IFree IUse% Mounted on
/dev/sda1          100    90    10   90% /
/dev/sdb1            0     0     0     - /srv/my data
/dev/sdc1          100    50    50   50% /broken
@memory
MemTotal:        2048 kB
MemAvailable:    512 kB
@load 1.25 0.50 0.10 1/100 4242
@cpus 4
@units
● broken.service loaded failed failed A broken one
other.mount      loaded failed failed Another
@units-known
@ended 1700000000.450000000
"""


def state_of(
    output: str = OUTPUT, asked_s: float = 1700000000.0, answered_s: float = 1700000000.6
) -> HostState:
    return read_output(output, asked_s=asked_s, answered_s=answered_s)


def test_what_the_script_prints_is_read() -> None:
    state = state_of()
    assert set(state.disks()) == {"/", "/srv/my data", "/broken"}
    assert state.file_systems["/"] == FileSystem("ext4", 10000 * 1024, 0, 100, 10, False)
    assert state.file_systems["/srv/my data"] == FileSystem("xfs", 500000 * 1024, 400000 * 1024, 0, 0, False)
    assert state.file_systems["/mnt/nas"] is None
    broken = state.file_systems["/broken"]
    assert broken is not None
    assert broken.read_only  # the kernel's doing, and the mount on top
    assert (state.memory_bytes, state.memory_available_bytes) == (2048 * 1024, 512 * 1024)
    assert (state.load1_milli, state.cpus) == (1250, 4)
    assert state.failed_units == ("broken.service", "other.mount")
    # 0.6 s between question and answer, of which 0.2 s were work: 0.2 s either way, and a millisecond.
    assert state.clock == ClockOffset(50, 201)


def test_a_date_that_knows_no_parts_of_a_second_is_right_to_half_of_one() -> None:
    state = state_of(OUTPUT.replace(".250000000", ".%N").replace(".450000000", ".%N"))
    assert state.clock is not None
    assert state.clock.offset_ms == 200
    assert state.clock.uncertainty_ms == 800


def test_what_is_missing_is_not_known_and_never_nothing() -> None:
    state = state_of("@began x\n@mounts\n@space\n@load \n@cpus \n@ended y\n")
    assert state == HostState()
    assert state.facts({}) == {"file_systems": {}}


@pytest.mark.parametrize("output", ["", "sh: not found\n", OUTPUT.partition("@ended")[0]])
def test_a_script_that_did_not_run_to_its_end_says_nothing(output: str) -> None:
    with pytest.raises(NotUnderstoodError):
        state_of(output)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1.5", 1500), ("12.3456", 12345), ("-1", None), ("x", None)]
)
def test_thousandths(text: str, value: int | None) -> None:
    assert milli(text) == value


def test_the_uncertainty_is_half_the_way_whoever_took_longer() -> None:
    assert clock_offset(theirs_s=100.0, asked_s=99.0, answered_s=101.0) == ClockOffset(0, 1001)
    assert clock_offset(theirs_s=90.5, asked_s=100.0, answered_s=101.0, busy_s=0.9) == ClockOffset(
        -10_000, 51
    )


def limits(**given: Any) -> Limits:
    return Limits.model_validate(given)


@pytest.mark.parametrize(
    ("offset", "outcome"),
    [
        (ClockOffset(1200, 300), Outcome.SUCCEEDED),  # it may be right
        (ClockOffset(-1200, 300), Outcome.SUCCEEDED),
        (ClockOffset(1200, 100), Outcome.FAILED),
        (ClockOffset(-1200, 100), Outcome.FAILED),
        (None, Outcome.UNKNOWN),
    ],
)
def test_a_clock_is_wrong_only_beyond_what_the_uncertainty_hides(
    offset: ClockOffset | None, outcome: Outcome
) -> None:
    assert judge(HostState(clock=offset), limits(max_clock_offset="1s")).outcome is outcome


def test_the_gravest_fault_is_the_kind_and_every_fault_is_named() -> None:
    reading = judge(state_of(), limits(min_free_percent=10, units_must_not_fail=True, max_load_per_cpu=0.1))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.READ_ONLY)
    for text in (
        "/broken is read-only",
        "/ has 0.0 % of its space",
        "load per processor is 0.31",
        "broken.service",
    ):
        assert text in reading.detail
    assert "nas" not in reading.detail


def test_a_remote_file_system_is_not_asked_and_so_not_known() -> None:
    reading = judge(state_of(), limits(mounts=["/mnt/nas"]))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert "/mnt/nas" in reading.detail


def test_a_fault_counts_although_something_else_is_not_known() -> None:
    reading = judge(state_of(), limits(mounts=["/mnt/nas", "/broken"]))
    assert reading.failure is Failure.READ_ONLY


def test_limits_without_anything_to_hold_them_against_are_unknown() -> None:
    given = {"min_free_percent": 1, "min_memory_percent": 1, "max_load_per_cpu": 1, "max_clock_offset": "1s"}
    everything = limits(**given, units_must_not_fail=True, ntp_must_be_synchronized=True)
    reading = judge(HostState(), everything)
    assert reading.outcome is Outcome.UNKNOWN
    assert reading.detail.count(",") == 5


def test_samples_of_an_exporter_with_odd_names_and_values() -> None:
    lines = [
        r'node_filesystem_size_bytes{device="a",fstype="ext4",mountpoint="/srv/\"x\\y\""} 1e+06',
        r'node_filesystem_avail_bytes{device="a",fstype="ext4",mountpoint="/srv/\"x\\y\""} 500000',
        'node_filesystem_device_error{device="b",fstype="ext4",mountpoint="/sick"} 1',
        "node_memory_MemTotal_bytes NaN",
        "node_load1 0.5 1700000000000",
        'node_systemd_unit_state{name="a.service",state="failed",type="simple"} 0',
        "not a sample at all {",
    ]
    state = read_samples(lines, asked_s=0.0, answered_s=0.0)
    assert state.file_systems['/srv/"x\\y"'] == FileSystem("ext4", 1_000_000, 500_000, 0, 0, False)
    assert state.file_systems["/sick"] is None
    assert (state.memory_bytes, state.load1_milli, state.failed_units, state.clock) == (None, 500, (), None)
