"""Writes ``courier.json`` anew: ``python -m tests.vectors.make_courier``. Only when the format changes on purpose.

The opening and the down blob are HPKE texts and differ with each run; all signatures are determined.
"""

import json
import random
from pathlib import Path

from edge.sync import bundle, courier, hubkey, release, revocation, seal
from edge.sync.log import Stream


def main() -> None:
    """One file of each kind, and the keys to check them with."""
    draw = random.Random(20261124).randbytes
    kem, sign, root, device, log_key, records = (draw(32) for _ in range(6))
    node_id, psk, run, epsilon = draw(8), draw(32), draw(8), draw(32)
    node = seal.NodeKeys(node_id, psk, device, seal.verifier_of(root), seal.verifier_of(sign), (seal.public_of(kem),))
    record = seal.NodeRecord(node_id, psk, seal.verifier_of(device), seal.verifier_of(log_key), seal.public_of(records))
    hub = courier.hub_of(seal.verifier_of(sign))
    epoch = seal.Epoch.new(node, run, epsilon, seal.Grade.LOG, log_key)
    sealed = epoch.seal_bundle(bundle.pack(bundle.BundlePayload(1, run, Stream.CLINICAL, 1, (b"entry one",))))
    name, digest = seal.bundle_id(sealed), courier.digest_of(sealed)
    rows = (
        courier.Row(name, digest, 1),
        courier.Row(bytes(11), bytes(16), 0),
        courier.Row(b"\x01" * 11, draw(16), 129),
    )
    blob = seal.seal_down(record, 7, b"what the hub says", sign)
    told = revocation.Content(
        1_790_000_000_000,
        revocation.machine_of(seal.verifier_of(device)),
        (revocation.machine_of(draw(32)),),
        ("0123456789abcdef",),
        hubkey.sign_key(sign, 1_789_000_000_000, seal.public_of(kem)),
    )
    signed_list = revocation.sign_list(sign, node_id, 9, 1_790_000_000_001, told)
    update_key, update = draw(32), draw(5_000)
    about = release.describe("system", "1.2.0", "amd64", [update])
    offer = (node_id, 4, 1_790_000_000_002, about, release.sign_release(update_key, about))
    content = {
        "hub_sign_private": sign,
        "hub_kem_private": kem,
        "device_private": device,
        "node_id": node_id,
        "psk": psk,
        "hub8": hub,
        "bundle_id": name,
        "digest": digest,
        "up": courier.up_file(hub, epoch.opening, sealed),
        "receipt": courier.receipt_file(sign, node_id, 1_790_000_000_000, rows),
        "down": courier.down_file(sign, node_id, 7, blob),
        "stored": courier.stored_file(device, hub, node_id, (1, 2, 3, 9)),
        "revoked": courier.revoked_files(hub, [signed_list])[0],
        "update_private": update_key,
        "update_content": update,
        "update": courier.update_file(sign, *offer),
    }
    lines = json.dumps({key: value.hex() for key, value in content.items()}, indent=1)
    (Path(__file__).parent / "courier.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
