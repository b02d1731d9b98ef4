# SPDX-License-Identifier: GPL-2.0-or-later
"""Attestation reports of SEV-SNP, and the certificates of the lab's chips.

The lab's VCEK comes of the chip's secret as AMD's does of a real chip's, and
whoever knows the secret can certify it; AMD's key server does that for real
chips. Verifying needs the certificates alone, and works for real ones, too.
Layouts and object identifiers: AMD's 56860 (ABI) and 57230 (VCEK).
"""

import argparse
import base64
import hashlib
import hmac
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

DEFAULT_SEED = b'kvm-reset lab, for tests alone !'
DEFAULT_TCB = 0x4614000000000004

# The parts of a version: their byte in it, and VCEK's object identifier.
PARTS = {'bootloader': (0, '1.3.6.1.4.1.3704.1.3.1'),
         'tee': (1, '1.3.6.1.4.1.3704.1.3.2'),
         'snp': (6, '1.3.6.1.4.1.3704.1.3.3'),
         'microcode': (7, '1.3.6.1.4.1.3704.1.3.8')}
HARDWARE_ID = '1.3.6.1.4.1.3704.1.4'

# P-384: the order of its points
ORDER = int('ffffffffffffffffffffffffffffffffffffffffffffffff'
            'c7634d81f4372ddf581a0db248b0a77aecec196accc52973', 16)
CURVE = bytes.fromhex('06052b81040022')  # its object identifier, in DER

SIGNED = 0x2a0
SIZE = 0x4a0
DEBUG = 1 << 19


class Refused(Exception):
    """A report that its owner must not believe, and why."""


# --- what the chip's secret gives --------------------------------------------

def derive(seed: bytes, purpose: str, context: bytes, size: int) -> bytes:
    """NIST SP 800-108 in counter mode, as the secure processor does it."""
    key = b''
    for i in range(1, (size + 31) // 32 + 1):
        key += hmac.digest(seed, struct.pack('<I', i) + purpose.encode() +
                           b'\0' + context + struct.pack('<I', size * 8),
                           'sha256')
    return key[:size]


def chip_id(seed: bytes) -> bytes:
    return derive(seed, 'chip id', b'', 64)


def vcek_secret(seed: bytes, tcb: int) -> int:
    number = int.from_bytes(derive(seed, 'VCEK', struct.pack('<Q', tcb), 64),
                            'big')
    return number % (ORDER - 1) + 1


# --- certificates ------------------------------------------------------------

def der(tag: int, *parts: bytes) -> bytes:
    content = b''.join(parts)
    size = len(content)
    if size >= 0x80:
        length = size.to_bytes((size.bit_length() + 7) // 8, 'big')
        return bytes([tag, 0x80 | len(length)]) + length + content
    return bytes([tag, size]) + content


def der_number(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, 'big'))


def pem_of_secret(secret: int) -> str:
    key = der(0x30, der_number(1), der(4, secret.to_bytes(48, 'big')),
              der(0xa0, CURVE))
    return ('-----BEGIN EC PRIVATE KEY-----\n' +
            base64.encodebytes(key).decode() + '-----END EC PRIVATE KEY-----\n')


def openssl(*args: str | Path, text: bytes = b'') -> bytes:
    done = subprocess.run(['openssl', *map(str, args)], input=text,
                          capture_output=True, check=False)
    if done.returncode:
        raise Refused(f'openssl {args[0]}: ' +
                      (done.stderr or done.stdout).decode().strip())
    return done.stdout


PSS = ['-sha384', '-sigopt', 'rsa_padding_mode:pss', '-sigopt',
       'rsa_pss_saltlen:48']
CA = ['-addext', 'basicConstraints=critical,CA:TRUE']
DAYS = ['-days', '3650']


def make_authority(directory: Path, bits: int) -> None:
    """ARK, which signs itself, and ASK."""
    for name in ('ark', 'ask'):
        openssl('genrsa', '-out', directory / f'{name}.key', str(bits))
    openssl('req', '-x509', '-key', directory / 'ark.key', *PSS, *CA, *DAYS,
            '-subj', '/O=kvm-reset lab/CN=ARK-Lab',
            '-out', directory / 'ark.pem')
    request = openssl('req', '-new', '-key', directory / 'ask.key',
                      '-subj', '/O=kvm-reset lab/CN=SEV-Lab')
    sign(directory, 'ark', request, 'basicConstraints=critical,CA:TRUE',
         directory / 'ask.pem')


def sign(directory: Path, authority: str, request: bytes, extensions: str,
         out: Path) -> None:
    with tempfile.NamedTemporaryFile('w', suffix='.cnf') as config:
        config.write(extensions + '\n')
        config.flush()
        openssl('x509', '-req', '-CA', directory / f'{authority}.pem',
                '-CAkey', directory / f'{authority}.key', '-CAcreateserial',
                *PSS, *DAYS, '-extfile', config.name, '-out', out,
                text=request)


def issue(directory: Path, seed: bytes, tcb: int, bits: int = 4096) -> None:
    """ark.pem, ask.pem and vcek.pem; the authorities are kept if there."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / 'ask.pem').exists():
        make_authority(directory, bits)
    version = struct.pack('<Q', tcb)
    extensions = [f'{oid}=ASN1:INTEGER:{version[byte]}'
                  for byte, oid in PARTS.values()]
    extensions.append(f'{HARDWARE_ID}=ASN1:FORMAT:HEX,OCTETSTRING:' +
                      chip_id(seed).hex())
    with tempfile.NamedTemporaryFile('w', suffix='.pem') as key:
        key.write(pem_of_secret(vcek_secret(seed, tcb)))
        key.flush()
        request = openssl('req', '-new', '-key', key.name,
                          '-subj', '/O=kvm-reset lab/CN=SEV-VCEK')
    sign(directory, 'ask', request, '\n'.join(extensions),
         directory / 'vcek.pem')


def extension(certificate: Path, oid: str) -> bytes:
    """What an object identifier stands for: the bytes after its value's."""
    name = der(6, encode_oid(oid))
    whole = openssl('x509', '-in', certificate, '-outform', 'DER')
    at = whole.find(name)
    if at < 0:
        raise Refused(f'{certificate} has no extension {oid}')
    at += len(name)
    if whole[at] != 4:
        raise Refused(f'{certificate}: extension {oid} is no octet string')
    value = whole[at + 2:at + 2 + whole[at + 1]]
    if len(value) >= 2 and value[0] in (2, 4) and value[1] == len(value) - 2:
        return value[2:]
    return value  # AMD's own has the hardware's id as it is


def encode_oid(oid: str) -> bytes:
    first, second, *rest = map(int, oid.split('.'))
    out = bytes([first * 40 + second])
    for number in rest:
        digits = [number & 0x7f]
        while number := number >> 7:
            digits.insert(0, number & 0x7f | 0x80)
        out += bytes(digits)
    return out


# --- reports -----------------------------------------------------------------

class Report:
    """The fields of an attestation report, SNP ABI 7.3."""

    def __init__(self, raw: bytes) -> None:
        if len(raw) < SIZE:
            raise Refused(f'the report has {len(raw)} bytes and not {SIZE}')
        self.raw = raw[:SIZE]
        self.version, self.guest_svn, self.policy = \
            struct.unpack_from('<IIQ', raw)
        self.vmpl, self.algorithm = struct.unpack_from('<II', raw, 0x30)
        self.key_info, = struct.unpack_from('<I', raw, 0x48)
        self.report_data = raw[0x50:0x90]
        self.measurement = raw[0x90:0xc0]
        self.host_data = raw[0xc0:0xe0]
        self.tcb, = struct.unpack_from('<Q', raw, 0x180)
        self.chip_id = raw[0x1a0:0x1e0]

    @property
    def signature(self) -> bytes:
        numbers = (int.from_bytes(self.raw[at:at + 72], 'little')
                   for at in (SIGNED, SIGNED + 72))
        return der(0x30, *map(der_number, numbers))


def verify(report: Report, certificates: Path) -> None:
    """That the chip of these certificates signed it, as it is now."""
    ark, ask, vcek = (certificates / f'{name}.pem'
                      for name in ('ark', 'ask', 'vcek'))
    openssl('verify', '-CAfile', ark, '-untrusted', ask, vcek)
    if report.version < 2 or report.algorithm != 1:
        raise Refused(f'a report of version {report.version} with signature '
                      f'algorithm {report.algorithm} is not known')
    if report.key_info >> 2 & 7:
        raise Refused('no VCEK signed the report')
    version = struct.pack('<Q', report.tcb)
    for part, (byte, oid) in PARTS.items():
        certified = int.from_bytes(extension(vcek, oid), 'big')
        if certified != version[byte]:
            raise Refused(f'the VCEK is of another version: its {part} is '
                          f"{certified}, the report's is {version[byte]}")
    if any(report.chip_id) and \
            extension(vcek, HARDWARE_ID) != report.chip_id:
        raise Refused("the VCEK is another chip's")
    with tempfile.TemporaryDirectory() as temporary:
        key, signature = Path(temporary, 'key'), Path(temporary, 'signature')
        key.write_bytes(openssl('x509', '-in', vcek, '-noout', '-pubkey'))
        signature.write_bytes(report.signature)
        try:
            openssl('dgst', '-sha384', '-verify', key, '-signature', signature,
                    text=report.raw[:SIGNED])
        except Refused:
            raise Refused("the report's signature is not the VCEK's") from None


def expect(report: Report, args: argparse.Namespace) -> None:
    for name, wanted in (('measurement', args.measurement),
                         ('report data', args.report_data),
                         ('host data', args.host_data)):
        has = getattr(report, name.replace(' ', '_'))
        if wanted is not None and wanted.ljust(len(has), b'\0') != has:
            raise Refused(f'the {name} is {has.hex()}')
    if report.policy & DEBUG and not args.debug:
        raise Refused("the policy lets the host read the guest's memory "
                      '(--debug takes it)')


# --- the command -------------------------------------------------------------

def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='scripts/lab-attest', description="Certificates of the lab's "
        'chips, and reports of SEV-SNP guests verified with them.')
    commands = parser.add_subparsers(dest='command', required=True)
    make = commands.add_parser(
        'certificates', help='write ark.pem, ask.pem and vcek.pem of a chip')
    make.add_argument('directory', type=Path)
    make.add_argument('--seed', type=bytes.fromhex, default=DEFAULT_SEED,
                      help="the device's seed=, if it has one")
    make.add_argument('--tcb', type=lambda text: int(text, 0),
                      default=DEFAULT_TCB,
                      help="the version, a report's reported TCB")
    check = commands.add_parser(
        'verify', help='a report against certificates and what is expected')
    check.add_argument('report', type=Path)
    check.add_argument('certificates', type=Path,
                       help='the directory with ark.pem, ask.pem, vcek.pem')
    for name in ('measurement', 'report-data', 'host-data'):
        check.add_argument(f'--{name}', type=bytes.fromhex, metavar='HEX')
    check.add_argument('--debug', action='store_true',
                       help='take a guest whose policy allows debugging')
    return parser.parse_args()


def main() -> int:
    args = parse()
    try:
        if args.command == 'certificates':
            issue(args.directory, args.seed, args.tcb)
            return 0
        report = Report(args.report.read_bytes())
        verify(report, args.certificates)
        expect(report, args)
    except (OSError, Refused) as error:
        print(f'lab-attest: {error}', file=sys.stderr)
        return 1
    print(f'verified: measurement {report.measurement.hex()}, '
          f'VMPL {report.vmpl}, policy 0x{report.policy:x}, '
          f'SHA-256 {hashlib.sha256(report.raw).hexdigest()}')
    return 0
