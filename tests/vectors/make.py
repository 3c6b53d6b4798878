"""Writes the frozen vectors anew: ``python -m tests.vectors.make``. Only when the format changes on purpose.

HPKE draws its own ephemeral key, so sealed HPKE texts differ with each run; everything else is determined by
the seed. Readers check the opening direction of those.
"""

import hashlib
import json
import random
from pathlib import Path

import msgspec

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.model.records import Age, Complaint, Gender, Person, Reading, Vitals
from edge.sync import bundle, enrol, frames, log, seal, signals, sms, sms_pdu
from edge.sync.versions import FIRST, OURS

FOLDER = Path(__file__).parent


def write(name: str, **fields: bytes | str | int) -> None:
    content = {key: value.hex() if isinstance(value, bytes) else str(value) for key, value in fields.items()}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    """All files."""
    draw = random.Random(20261123).randbytes
    kem, sign, root = draw(32), draw(32), draw(32)
    device, log_key, records = draw(32), draw(32), draw(32)
    node_id, psk, run, epsilon, salt, visit_salt = draw(8), draw(32), draw(8), draw(32), draw(6), draw(16)
    mix = seal.mix_key(psk)
    write(
        "keys",
        psk=psk,
        epsilon=epsilon,
        salt=salt,
        node_id=node_id,
        hub_kem_public=seal.public_of(kem),
        psk_mac=seal.mac_key(psk),
        psk_mix=mix,
        k_bundle=seal.hkdf(epsilon, b"bundle", mix),
        k_n2h=seal.hkdf(epsilon, b"n2h", mix),
        k_h2n=seal.hkdf(epsilon, b"h2n" + salt, mix),
        hub_key_id=seal.key_id(seal.public_of(kem)),
        node_hint=seal.node_hint(node_id),
    )
    node = seal.NodeKeys(node_id, psk, device, seal.verifier_of(root), seal.verifier_of(sign), (seal.public_of(kem),))
    record = seal.NodeRecord(node_id, psk, seal.verifier_of(device), seal.verifier_of(log_key), seal.public_of(records))
    for grade, signer in ((seal.Grade.LOG, log_key), (seal.Grade.DEVICE, device)):
        epoch = seal.Epoch.new(node, run, epsilon, grade, signer)
        opened = seal.open_opening(epoch.opening, seal.HubKeys((kem,), sign), record)
        plain = b"what a bundle holds"
        sealed = epoch.seal_bundle(plain)
        probe = frames.encode(frames.Probe())
        write(
            f"opening-{grade.value}",
            node_id=node_id,
            psk=psk,
            run=run,
            epsilon=epsilon,
            salt=salt,
            hub_kem_private=kem,
            hub_kem_public=seal.public_of(kem),
            device_public=seal.verifier_of(device),
            log_public=seal.verifier_of(log_key),
            opening=epoch.opening,
            epoch_id=epoch.epoch_id,
            bundle_plain=plain,
            bundle=sealed,
            bundle_id=seal.bundle_id(sealed),
            frames=probe,
            packet_up=epoch.seal_packet(probe)[1],
            packet_down=opened.seal_packet(salt, probe)[1],
        )
    write(
        "down",
        node_id=node_id,
        records_private=records,
        hub_sign_public=seal.verifier_of(sign),
        seq=7,
        payload=b"a payload",
        blob=seal.seal_down(record, 7, b"a payload", sign),
    )
    writer = log.Writer(node_id, run, log.Stream.CLINICAL)
    h0 = writer.head
    first, second = writer.append(b"entry one", visit_salt), writer.append(b"entry two")
    head = writer.sign_head(log_key, seal.Grade.LOG)
    write(
        "log",
        node_id=node_id,
        run=run,
        visit_salt=visit_salt,
        log_private=log_key,
        h0=h0,
        raw1=b"entry one",
        c1=first.commitment,
        h1=first.head,
        raw2=b"entry two",
        c2=second.commitment,
        h2=second.head,
        signature=head.signature,
    )
    payload = bundle.BundlePayload(1, run, log.Stream.CLINICAL, 1, (b"entry one", b"entry two"), head)
    write(
        "payload",
        cls=1,
        run=run,
        stream=2,
        first_seq=1,
        raw1=b"entry one",
        raw2=b"entry two",
        packed=bundle.pack(payload, bundle.NO_DICTIONARY, None),
    )
    write_modelled(run)
    write_frames(node_id)
    write_signal()
    write_sms(node_id, psk)
    write_enrolment(root, seal.HubKeys((kem,), sign), enrol.EnrolSecrets(device, log_key, records, draw(32)), draw(16))


def write_modelled(run: bytes) -> None:
    """Format 02: three entries that have most forms of values, one that is opaque, and a head."""
    patient, visit = "e2kkk09p947bgav5", "cdyfjqg17jr87ek2"
    person = Person("Sunita कुमारी", Gender.FEMALE, "नमूनापुर", Age(34), relative_name="😀", mobile="5550100001")
    complaints = (Complaint("fever", "", 2), Complaint("cough", "", 300, "week"))
    readings = (Reading("temp_c", 38.6), Reading("hr", 88.0), Reading("rr", 0.12345))
    said: tuple[ev.Event, ...] = (
        ev.PatientRegistered(patient, "MP-NMP01-000007", person),
        ev.VisitOpened(visit, patient, bytes(range(16))),
        ev.ComplaintsRecorded(visit, complaints, "रात में ज़्यादा"),
        ev.SignsAnswered(visit, (), ("unresponsive", "stridor", "respiratory_distress", "wheeze")),
        ev.VitalsRecorded(visit, Vitals(readings, "A", False)),
        ev.TokenIssued(visit, "NMP01-012", 20775, 12),
        ev.TokenIssued(visit, "NMP01-013", 20775, 13),
    )
    stamps = (0, 9_000, 21_500, 21_500, 30_000, 41_000, 41_000)
    stamp, raws = 0, [b"no entry"]
    for event, later_ms in zip(said, stamps, strict=True):
        stamp = next_stamp(stamp, 1_795_000_000_000 + later_ms)
        raws.append(msgspec.msgpack.encode(ev.entry_of(event, stamp, "anm1")))
    head = log.SignedHead(40 + len(raws), bytes(range(32)), "D", bytes(range(64)))
    payload = bundle.BundlePayload(1, run, log.Stream.CLINICAL, 41, tuple(raws), head)
    packed = bundle.pack(payload)
    named = {f"raw{place}": raw for place, raw in enumerate(raws, 1)}
    write("payload_modelled", cls=1, run=run, stream=2, first_seq=41, count=len(raws), packed=packed, **named)


def write_frames(name8: bytes) -> None:
    """One frame of each type, and all of them in one packet."""
    bundle_name = bytes(range(11))
    examples: tuple[frames.Frame, ...] = (
        frames.Frag(frames.KIND_BUNDLE, 1, 300, 1000, 5000, b"piece"),
        frames.Ack(b"\x01\x02", 70_000, 12, b"\xff\x01"),
        frames.Probe(),
        frames.Time(1_790_000_000_000, 0xCAFEF00D),
        frames.Path(False, name8),
        frames.Open(bytes(range(176))),
        frames.Wanted(b"abcd"),
        frames.Reseal(bundle_name),
        frames.Stored(bundle_name, 1),
        frames.DownStored(258),
        frames.StoredHere(1, ((3, 3), (300, 304))),
        frames.Train(258, 3, 8, 200),
        frames.TrainSeen(258, (1, 0, 801, 70_000)),
    )
    signal = frames.Frag(frames.KIND_SIGNAL, 0, 4, 0, 9, b"signalled", 0xCAFEF00D, 3)
    names = " ".join(type(frame).__name__ for frame in examples)
    named = {type(frame).__name__: frames.encode(frame) for frame in examples}
    write("frames", names=names, all=b"".join(named.values()), signal=frames.encode(signal), **named)


def write_signal() -> None:
    """A signal as it is packed for a side that knows its dictionary, and for a first release."""
    blob = (
        b"\x81\xa3sdp\xd9\x52" + b"a=rtpmap:111 OPUS/48000/2\r\na=fmtp:63 111/111\r\na=ptime:60\r\na=setup:active\r\n"
    )
    write("signal", blob=blob, body=signals.pack_signal(7, blob, OURS), first=signals.pack_signal(7, blob, FIRST))


def write_sms(node_id: bytes, psk: bytes) -> None:
    """One SMS each way, and the TPDU that carries the one up."""
    boot, visit = bytes(range(5)), bytes(range(5, 10))
    copy = sms.EarlyCopy(
        visit,
        True,
        "MP-01-007",
        34,
        3,
        0,
        3,
        ((sms.tag_of("chest_pain", "complaint"), 2, 1),),
        {0: 92, 2: 128, 5: 88},
        1,
        (sms.tag_of("unresponsive", "sign"),),
        1,
        29_833_333,
    )
    answer = sms.Answer(visit, sms.Advice.CALL_108, "Keep her lying down", "Rao")
    contents = {sms.Way.UP: sms.encode(copy), sms.Way.DOWN: sms.encode(answer)}
    fields: dict[str, bytes | str | int] = {"psk": psk, "node_id": node_id, "boot": boot, "number": "+919000000002"}
    for way, content in contents.items():
        _, message = sms.SmsSealer(psk, node_id, way, boot).seal(content)
        fields |= {f"key_{way}": sms.sms_key(psk, way), f"content_{way}": content, f"message_{way}": message}
        if way is sms.Way.UP:
            piece = sms_pdu.split(message, 0)[0]
            fields["tpdu"] = sms_pdu.encode_submit(sms_pdu.Submit("+919000000002", piece, report=True))
    write("sms", **fields)


def write_enrolment(root: bytes, hub: seal.HubKeys, secrets: enrol.EnrolSecrets, secret: bytes) -> None:
    """A whole enrolment."""
    root_public = seal.verifier_of(root)
    text = enrol.make_token(secret, root_public)
    token = enrol.parse_token(text)
    signature = enrol.certify_sign(root, seal.verifier_of(hub.sign))
    announcement = enrol.announce(root_public, signature, hub)
    body = enrol.make_request(token, enrol.check_announcement(announcement, token), secrets, "0.1.0")
    grant = enrol.EnrolGrant(bytes(range(8)), bytes(range(32)), "MP-01", "Site", "District", bytes(32), 4470, 4443)
    write(
        "enrol",
        token=text,
        secret=secret,
        hub_kem_private=hub.kem[0],
        response_private=secrets.response,
        announcement=announcement,
        request=body,
        reply=enrol.make_reply(body, enrol.open_request(body, hub), grant, hub.sign),
        psk_sha256=hashlib.sha256(grant.psk).hexdigest(),
    )


if __name__ == "__main__":
    main()
