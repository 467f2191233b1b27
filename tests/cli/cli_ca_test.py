"""`nomiqon ca`: on a data directory, without any gateway."""

import json
import stat
import subprocess
import unittest

from support import CliTest


class Ca(CliTest):
    def setUp(self):
        super().setUp()
        self.data = self.home / "data"

    def openssl(self, *arguments, stdin=None):
        return subprocess.run(["openssl", *arguments], cwd=self.home, input=stdin, check=True, capture_output=True,
                              text=True).stdout

    def company(self):
        """root.pem, and chain.pem with intermediate.key, as a company hands them over."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.openssl("req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-days", "30", "-subj", "/CN=Corp Root",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.openssl("req", *key, "-keyout", "intermediate.key", "-out", "intermediate.csr", "-subj", "/CN=Corp Proxy CA")
        (self.home / "extensions").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\n"
                                              "keyUsage=critical,keyCertSign,cRLSign\n"
                                              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n")
        self.openssl("x509", "-req", "-in", "intermediate.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial",
                     "-days", "20", "-out", "intermediate.pem", "-extfile", "extensions")
        (self.home / "chain.pem").write_text((self.home / "intermediate.pem").read_text()
                                             + (self.home / "root.pem").read_text())

    def import_company(self, *options):
        self.company()
        return self.ok("ca", "import", "--cert", str(self.home / "chain.pem"), "--key",
                       str(self.home / "intermediate.key"), *options)

    def test_without_a_ca_it_says_who_makes_one(self):
        for command in (["show"], ["export"], ["rotate"]):
            self.assertIn("the gateway makes one when it first starts", self.fails(1, "ca", *command))
        self.assertFalse(self.data.exists())

    def test_import_show_and_export(self):
        self.assertIn("Corp Proxy CA", self.import_company())
        self.assertEqual(stat.S_IMODE((self.data / "ca.key").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE((self.data / "ca.crt").stat().st_mode), 0o644)
        shown = self.ok("ca", "show")
        self.assertIn(str(self.data / "ca.crt"), shown)
        self.assertIn("Corp Root", shown)
        fingerprint = self.openssl("x509", "-in", "intermediate.pem", "-noout", "-fingerprint", "-sha256")
        document = json.loads(self.ok("ca", "show", "--json"))
        self.assertEqual(document["active"][0]["sha256"], fingerprint.strip().split("=")[1])
        self.assertEqual(document["next"], [])

        exported = self.ok("ca", "export")
        self.assertEqual(exported, (self.data / "ca.crt").read_text())
        self.assertNotIn("PRIVATE", exported)
        output = self.home / "trust.pem"
        self.ok("ca", "export", "--bundle", "--output", str(output), SSL_CERT_FILE=str(self.home / "root.pem"))
        self.assertEqual(output.read_text(), (self.home / "root.pem").read_text() + exported)
        self.assertEqual(stat.S_IMODE(output.stat().st_mode), 0o644)

    def test_rotation(self):
        self.import_company()
        made = self.ok("ca", "rotate", "--name-constraint", "openai.com,anthropic.com")
        self.assertIn("openai.com, anthropic.com", made)
        self.assertEqual(self.ok("ca", "export").count("BEGIN CERTIFICATE"), 3)
        self.assertIn("next CA", self.ok("ca", "show"))
        self.assertIn("--activate", self.fails(1, "ca", "rotate"))
        self.ok("ca", "rotate", "--cancel")
        self.ok("ca", "rotate")
        self.assertIn("nomiqon-gateway CA", self.ok("ca", "rotate", "--activate"))
        self.assertEqual(self.ok("ca", "export").count("BEGIN CERTIFICATE"), 1)
        (self.home / "new.pem").write_text(self.ok("ca", "export"))
        self.assertIn("OK", self.openssl("verify", "-x509_strict", "-CAfile", "new.pem", "new.pem"))

    def test_another_data_directory(self):
        self.import_company("--data-dir", str(self.home / "other"))
        self.assertFalse(self.data.exists())
        self.assertIn("Corp", self.ok("ca", "show", "--data-dir", str(self.home / "other")))

    def test_mistakes(self):
        self.company()
        self.assertIn("is no DNS suffix", self.fails(2, "ca", "rotate", "--name-constraint", "*.openai.com"))
        self.fails(2, "ca", "rotate", "--activate", "--cancel")
        said = self.fails(1, "ca", "import", "--cert", str(self.home / "root.pem"), "--key",
                          str(self.home / "intermediate.key"))
        self.assertIn("fits no certificate", said)
        said = self.fails(1, "ca", "import", "--cert", str(self.home / "none.pem"), "--key",
                          str(self.home / "intermediate.key"))
        self.assertIn("there is no file", said)


if __name__ == "__main__":
    unittest.main()
