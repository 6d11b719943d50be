"""The trial without TLS keeps the platform's rules and changes only where it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.plain_plane import without_tls

CONFIG = """\
global
    default-path config
    stats socket unix@/home/x/run/stats.sock mode 600 level admin
frontend lepton from base
    bind 127.0.0.1:8443 ssl crt '/home/x/tls/server.pem' alpn h2,http/1.1
    http-request deny if bad
frontend activator from base
    bind unix@/home/x/run/activator.sock mode 600
backend core from base
    server core unix@/home/x/run/core.sock pool-purge-delay 2s
"""


def test_the_one_tls_port_becomes_a_plain_one_and_the_rules_stay() -> None:
    changed = without_tls(CONFIG, 9000, Path("/home/x/haproxy"), Path("/tmp/other"))

    assert changed == (
        "global\n"
        "    default-path origin /home/x/haproxy\n"
        "\n"
        "frontend lepton from base\n"
        "    bind 127.0.0.1:9000\n"
        "    http-request deny if bad\n"
        "frontend activator from base\n"
        "    bind unix@/tmp/other/activator.sock mode 600\n"
        "backend core from base\n"
        "    server core unix@/home/x/run/core.sock pool-purge-delay 2s\n"
    )


def test_a_configuration_without_a_tls_port_is_not_taken_for_one() -> None:
    with pytest.raises(AssertionError, match="one TLS port"):
        without_tls("frontend lepton\n", 9000, Path("/maps"), Path("/sockets"))
