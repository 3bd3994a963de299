"""A throw-away certificate authority, and keys for the nodes of a trial.

    python -m simulations.deployment.certificates FOLDER [--host NAME] [--nodes N]

For a trial or a test: the authority's private key is thrown away with the process, so nothing can
be added later. In production take certificates from your own authority.
"""

import argparse
import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Always in the server's certificate: the ServerApp reaches the SuperLink there.
_LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files of a trial.

    Attributes
    ----------
    authority, server, server_key : Path
        `ca.crt`, to be trusted by every node; `server.crt` and `server.key` of the SuperLink.
    node_keys : tuple[Path, ...]
        `node-I.key`, private, one for each SuperNode; the public part is in `node-I.key.pub`.
    """

    authority: Path
    server: Path
    server_key: Path
    node_keys: tuple[Path, ...]


def make_certificates(
    folder: Path, *, hosts: Sequence[str] = (), num_nodes: int = 0, num_days: int = 30
) -> Certificates:
    """Write an authority's certificate, the server's, and the nodes' keys.

    Parameters
    ----------
    folder : Path
        Where to; made if it does not exist.
    hosts : Sequence[str] (default: ())
        Names and addresses by which the nodes reach the server, besides the loopback interface.
    num_nodes : int (default: 0)
        SuperNodes to make a key for.
    num_days : int (default: 30)
        For how long they are valid.

    Raises
    ------
    ValueError
        If the folder has certificates already: they would not fit the new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "ca.crt").exists():
        raise ValueError(f"{folder} has certificates already: delete them or give another folder")
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("deepedge trial authority", authority_key, None, num_days, [])
    names = tuple(dict.fromkeys((*hosts, *_LOCAL)))
    server = _certificate(names[0], server_key, (authority, authority_key), num_days, names)
    made = Certificates(
        authority=folder / "ca.crt",
        server=folder / "server.crt",
        server_key=folder / "server.key",
        node_keys=tuple(folder / f"node-{i}.key" for i in range(num_nodes)),
    )
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.server.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    _write_private(made.server_key, server_key, serialization.PrivateFormat.PKCS8)
    for path in made.node_keys:
        key = ec.generate_private_key(ec.SECP384R1())
        _write_private(path, key, serialization.PrivateFormat.OpenSSH)
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        path.with_suffix(".key.pub").write_bytes(public + b"\n")
    return made


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signed_by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    num_days: int,
    hosts: Sequence[str],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    issuer, issuer_key = (subject, key) if signed_by is None else (signed_by[0].subject,
                                                                   signed_by[1])  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=num_days))
        .add_extension(x509.BasicConstraints(signed_by is None, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_private(
    path: Path, key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat
) -> None:
    """Write a key that only its owner may read, from its first byte on."""
    data = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def main() -> int:
    """Make them, and say how they are used."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.deployment.certificates",
        description="Make a throw-away certificate authority for a trial with TLS.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", action="append", help="name or address of the SuperLink; "
                        "may be repeated; localhost and 127.0.0.1 are always in")  # fmt: skip
    parser.add_argument("--nodes", type=int, default=0, help="SuperNodes to make a key for")
    parser.add_argument("--days", type=int, default=30, help="days of validity (default: 30)")
    arguments = parser.parse_args()
    try:
        made = make_certificates(arguments.folder, hosts=arguments.host or (),
                                 num_nodes=arguments.nodes, num_days=arguments.days)  # fmt: skip
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    _explain(made, (arguments.host or _LOCAL)[0])
    return 0


def _explain(made: Certificates, host: str) -> None:
    print(f"SuperLink:   flower-superlink --host 0.0.0.0 --disable-runtime-dependency-installation "
          f"--ssl-ca-certfile {made.authority} --ssl-certfile {made.server} "
          f"--ssl-keyfile {made.server_key} --enable-supernode-auth")  # fmt: skip
    print(f"SuperNodes:  flower-supernode --superlink {host}:8000 "
          f"--root-certificates {made.authority} --auth-supernode-private-key KEY")  # fmt: skip
    # Flower wants an absolute path there.
    print(f'config.toml: address = "{host}:8000"\n'
          f'             root-certificates = "{made.authority.resolve()}"')  # fmt: skip
    for key in made.node_keys:
        print(f"once:        flwr supernode register {key}.pub SUPERLINK-NAME")


if __name__ == "__main__":
    raise SystemExit(main())
