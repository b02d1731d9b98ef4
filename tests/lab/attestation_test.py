#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A report of the lab's secure processor, verified by another implementation
(OpenSSL) with certificates made of the chip's secret.

    attestation_test.py PROGRAM: what prints a report
"""

import argparse
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset import attestation  # noqa: E402
from kvm_reset.attestation import Refused, Report  # noqa: E402

# The sample's chip: 1, then zeros. Its key's size is not what is tried here.
SEED = bytes([1]).ljust(32, b'\0')
BITS = 2048
PROGRAM = ''


class AttestationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        cls.directory = Path(cls.temporary.name)
        cls.raw = subprocess.run([PROGRAM], capture_output=True,
                                 check=True).stdout
        attestation.issue(cls.directory, SEED, Report(cls.raw).tcb, BITS)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.temporary.cleanup()

    def refuses(self, raw: bytes, why: str,
                directory: Path | None = None) -> None:
        with self.assertRaisesRegex(Refused, why):
            attestation.verify(Report(raw), directory or self.directory)

    def test_the_chips_report_verifies(self) -> None:
        report = Report(self.raw)
        attestation.verify(report, self.directory)
        self.assertEqual(report.report_data.rstrip(b'\0'), b'a nonce')
        self.assertEqual(report.chip_id, attestation.chip_id(SEED))

    def test_no_signed_byte_can_be_changed(self) -> None:
        # Not the version, which says how to read the others.
        for at in (8, 0x30, 0x90, 0xc0, 0x29f):
            raw = bytearray(self.raw)
            raw[at] ^= 1
            self.refuses(bytes(raw), "signature is not the VCEK's")

    def test_the_signature_cannot_be_changed(self) -> None:
        raw = bytearray(self.raw)
        raw[0x2a0] ^= 1
        self.refuses(bytes(raw), "signature is not the VCEK's")

    def test_another_chips_certificates_do_not_verify_it(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            other = Path(name)
            attestation.issue(other, bytes(32), Report(self.raw).tcb, BITS)
            self.refuses(self.raw, "another chip's", other)

    def test_another_versions_certificate_does_not_verify_it(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            other = Path(name)
            attestation.issue(other, SEED, Report(self.raw).tcb - 1, BITS)
            self.refuses(self.raw, 'another version: its bootloader', other)

    def test_a_chain_of_another_root_does_not_verify_it(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            other = Path(name)
            attestation.issue(other, SEED, Report(self.raw).tcb, BITS)
            (other / 'ark.pem').write_bytes(
                (self.directory / 'ark.pem').read_bytes())
            self.refuses(self.raw, 'openssl verify', other)

    def test_an_unsigned_report_is_refused(self) -> None:
        raw = bytearray(self.raw)
        raw[0x48] |= 7 << 2
        self.refuses(bytes(raw), 'no VCEK signed')

    def test_a_short_report_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, 'has 100 bytes'):
            Report(self.raw[:100])

    def expects(self, **wanted: object) -> None:
        args = {'measurement': None, 'report_data': None, 'host_data': None,
                'debug': True}
        attestation.expect(Report(self.raw),
                           argparse.Namespace(**{**args, **wanted}))

    def test_what_the_owner_expects_is_compared(self) -> None:
        self.expects(measurement=Report(self.raw).measurement,
                     report_data=b'a nonce')
        with self.assertRaisesRegex(Refused, 'the measurement is'):
            self.expects(measurement=bytes(48))
        with self.assertRaisesRegex(Refused, 'the report data is'):
            self.expects(report_data=b'another')
        with self.assertRaisesRegex(Refused, "read the guest's memory"):
            self.expects(debug=False)


if __name__ == '__main__':
    PROGRAM = sys.argv.pop(1)
    unittest.main()
