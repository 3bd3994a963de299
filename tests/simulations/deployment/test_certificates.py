"""A throw-away authority: its certificates verify, and say for whom they are."""

import ipaddress
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from simulations.deployment import certificates
from simulations.deployment.certificates import make_certificates


def test_the_server_s_certificate_is_signed_by_the_authority(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, hosts=("server.plant", "10.0.0.7"), num_nodes=2)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    server = x509.load_pem_x509_certificate(made.server.read_bytes())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    # The loopback interface is always there: the ServerApp reaches the SuperLink by it.
    assert names.get_values_for_type(x509.DNSName) == ["server.plant", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("10.0.0.7"),
        ipaddress.ip_address("127.0.0.1"),
    ]
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not list(tmp_path.glob("ca*.key"))


def test_a_node_s_public_key_belongs_to_its_private_one(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, num_nodes=2)
    public = []
    for path in made.node_keys:
        private = serialization.load_ssh_private_key(path.read_bytes(), None)
        found = private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        assert path.with_suffix(".key.pub").read_bytes() == found + b"\n"
        public.append(found)
    assert len(set(public)) == 2


def test_the_command_says_how_they_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["certificates", "new", "--host", "server.plant", "--nodes", "1"]
    )
    assert certificates.main() == 0
    printed = capsys.readouterr().out
    assert "--enable-supernode-auth" in printed and "node-0.key.pub" in printed
    assert "--host 0.0.0.0 --disable-runtime-dependency-installation" in printed
    assert "--superlink server.plant:8000" in printed
    assert f'root-certificates = "{tmp_path.resolve()}/new/ca.crt"' in printed
    with pytest.raises(SystemExit) as ended:
        certificates.main()
    assert ended.value.code == 2
    assert "has certificates already" in capsys.readouterr().err
