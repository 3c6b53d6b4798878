"""Signs an application image for ``node panel update``.

``python firmware/sign.py --key release.key --version N build/panel/app.bin app-N.upk``; the key file holds an Ed25519
private key as 64 hexadecimal digits. ``--new-key`` makes one and prints the public half for ``panel/release.pub``.
"""

import argparse
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.node.devices.panel import Image, ImageError
from edge.node.devices.panel_update import SignedImage


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, required=True, help="file with the private key")
    parser.add_argument("--new-key", action="store_true", help="make the key file, print the public key")
    parser.add_argument("--version", type=int, help="1 to 65535; the one that the image was built with")
    parser.add_argument("paths", type=Path, nargs="*", metavar="FILE", help="app.bin and the signed image to write")
    options = parser.parse_args()
    if options.new_key:
        private = Ed25519PrivateKey.generate()
        descriptor = os.open(options.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(private.private_bytes_raw().hex() + "\n")
        print(private.public_key().public_bytes_raw().hex())
        return 0
    if options.version is None or len(options.paths) != 2:
        parser.error("give --version, app.bin and the file to write")
    source, target = options.paths
    try:
        signed = SignedImage.sign(Image(source.read_bytes(), options.version), bytes.fromhex(options.key.read_text()))
    except (ImageError, ValueError) as error:
        parser.error(str(error))
    target.write_bytes(signed.raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
