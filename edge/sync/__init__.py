"""Sync: signed log, sealing, and a link that survives. Security never depends on the bearer.

A map (everything but ``bearers`` is without I/O and takes time as an argument):

========== ==================================================================================
seal       NodeKeys, HubKeys, NodeRecord, Grade; Epoch (node) and OpenedEpoch (hub);
           seal_down / open_down; bundle_id; SealRefused
log        Stream, Writer (append, sign_head), Chain, verify_entries, salt_of, decode_entry
bundle     BundlePayload, pack, unpack
compact    Walk, Model: entries coded by where their values stand    rangecoder  Writer, Reader
values     what msgpack values look like to it
enrol      make_token … open_reply; EnrolGrant, EnrolSecrets
link       events and states: BundleRef, BundleAcked, BundleArrived, LinkState, Cls, Directory …
blobs      Chunk, pack_chunk; names and checks; Receiving, Sending: what is held and missing of a photo
vault      files sealed at rest, in blocks: seal_file, open_range
holdings   who holds what, compared after each meeting: describe, compare, Wanted
hubkey     the hub's newest KEM key          versions  Reads, common_level: what a release reads
meter      Meter: bytes of the day against the cap, and the hours for bulk
frontier   Frontier: which sequences of a log are held (cursor + bitmap)
outbox     SendQueue: what leaves next          inbox    judge: bytes → verdict
courier    what lies on a USB stick: up_file, receipt_file, down_file, stored_file, parse, Opener
revocation what the hub no longer believes, a signed list for each node    release  what an update is, signed
arq        Arq: selective repeat over packets   congestion  DelayAimd
pace       when the next packet may leave       outage      when to ask whether the other side is back
endpoint   NodeEndpoint, HubEndpoint            bearers  NodeRunner, HubRunner, wss_handler
hub_node   a node as the hub knows it           downs, hub_processes, presence  the hub as a node knows it
sms        SmsSealer, open_sms, contents, caps     sms_copy  visit → early copy → words
sms_pdu    GSM PDUs, parts    sms_modem  AT session    sms_mail  whole messages; bearers.sms, bearers.sms_store
faults     point(name): where a fault test may kill the process
========== ==================================================================================

Node, from entry to acknowledgement::

    endpoint = NodeEndpoint(keys, run, epsilon, Grade.LOG, log_private, now, random=os.urandom)
    position = writer.append(raw, visit_salt)                  # log.Writer, one per stream
    ref = endpoint.seal_bundle(BundlePayload(Cls.CLINICAL, run, Stream.CLINICAL, position.seq, (raw,)))
    ...store ref (opening, sealed, bundle_id) in the outbox, commit...
    endpoint.submit_bundle(ref, Cls.CLINICAL)                  # at start: every row that is left
    runner = NodeRunner(endpoint, hub_host, udp_port, wss_port, keys.tls_fingerprint, on_event)
    await runner.start(); runner.wake() after any call of the endpoint; await runner.stop()
    # on_event(BundleAcked) → delete the row; (DownArrived) → store, fsync, endpoint.down_stored(seq)

Hub::

    endpoint = HubEndpoint(hub_keys, directory, now, unix_offset_s=…, random=os.urandom)
    runner = HubRunner(endpoint, ("0.0.0.0", udp_port), on_event); app.router.add_get("/sync", wss_handler(runner))
    # on_event(BundleArrived) → store, fsync, endpoint.bundle_stored(node_id, bundle_id)
    # on_event(NodeSeen fresh) → endpoint.send_down(node_id, seq, blob, Cls.CLINICAL) for all that is not stored there
    endpoint.send_signal(node_id, blob); endpoint.presence(node_id, now) → LinkState

Endpoints are not thread-safe: call them on the event loop that runs their runner.
"""
