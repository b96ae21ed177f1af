"""A small valid estate, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

from config.loader import examine
from config.positions import load_yaml

VALID = """\
configVersion: 1
daemon: {name: ops1, state_dir: /var/lib/bcm, http: "127.0.0.1:9977", reference_targets: ["10.0.0.1:53"]}
sites:
  dc1: {role: primary}
  dc2: {role: standby}
  far: {role: dr}
  ops: {role: witness}
nodes:
  db1: {site: dc1, address: 10.0.1.1, access: ssh, ssh: {user: bcm, port: 22}}
  db2: {site: dc2, address: 10.0.2.1, access: ssh}
  db3: {site: far, address: 10.0.3.1, access: ssh}
  web: {site: ops, address: 10.0.4.1}
people:
  ada: {name: Ada, os_users: [ada, root2]}
  bob: {name: Bob, os_users: [bob]}
pager:
  alertmanager: {url: "http://127.0.0.1:9093", labels: {team: db}}
  exec: {command: [/usr/bin/page, --loud], timeout: 5s}
services:
  billing:
    engine: postgresql
    depends_on: [orders]
    postgresql: &pg
      synchronous_standby_names: ""
      roles:
        monitor: {user: mon, password: {file: /etc/bcm/mon}}
        control: {user: ctl, password: {env: BCM_CTL}}
        replication: {user: rep, password: {credential: rep}}
    objectives: {rpo: 5s}
    members:
      b1: {node: db1, role: primary, port: 5433, data_dir: /d, bin_dir: /usr/pgsql-16/bin, control: systemd:b}
      b2: {node: db2, role: standby, port: 5433, data_dir: /d, bin_dir: /usr/pgsql-16/bin, control: systemd:b}
  orders:
    engine: postgresql
    mode: act
    importance: critical
    objectives: {rto: 30s, rpo: 0s, mtpd: 4h}
    profile: balanced
    endpoint: {type: dsn, order: [pg1, pg2, pg3]}
    postgresql:
      <<: *pg
      synchronous_standby_names: ANY 1 (pg2, "pg3")
    members:
      pg1:
        node: db1
        role: primary
        data_dir: /var/lib/postgresql/15/main
        bin_dir: /usr/lib/postgresql/15/bin
        control: pg_ctlcluster:15/main
      pg2:
        node: db2
        role: standby
        slot: pg2
        data_dir: /var/lib/postgresql/15/main
        bin_dir: /usr/lib/postgresql/15/bin
        control: pg_ctlcluster:15/main
      pg3:
        node: db3
        role: dr
        slot: pg3
        data_dir: /var/lib/postgresql/15/main
        bin_dir: /usr/lib/postgresql/15/bin
        control: systemd:postgresql@15-main.service
"""


def spoiled(old: str, new: str, base: str = VALID) -> str:
    """`base` with the only occurrence of `old` replaced."""
    assert base.count(old) == 1, f"{base.count(old)} times in the estate: {old!r}"
    return base.replace(old, new)


def lines_of(text: str) -> list[str]:
    """Every finding's line, the file's name left out."""
    return [str(f).removeprefix("e.yaml:") for f in examine(load_yaml(text, file="e.yaml")).findings]


def write(directory: Path, text: str) -> Path:
    path = directory / "estate.yaml"
    path.write_text(text, encoding="utf-8")
    return path
