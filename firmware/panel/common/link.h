/* Frames of the panel link (firmware/PROTOCOL.md): COBS, CRC-16, one decoder for application and loader.
 *
 * No I/O and no clock here: bytes go in by link_receive, frames come out; a frame to be sent comes out as
 * bytes by link_encode. So the same file is tested on the host. */
#ifndef UPK_LINK_H
#define UPK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#define LINK_OVERHEAD 4U /* sequence, type, CRC */
#define LINK_PAYLOAD_MAX (UPK_FRAME_MAX - LINK_OVERHEAD)
#define LINK_WIRE_MAX (UPK_FRAME_MAX + 2U) /* COBS adds one byte up to 254, and the delimiter */

/* All zero but `crc`, which starts as CRC16_START; a delimiter brings any state back to that. */
struct link {
    uint8_t buffer[UPK_FRAME_MAX]; /* decoded bytes so far; a finished frame: sequence, type, payload */
    uint8_t length;
    uint16_t crc;      /* over the bytes so far; 0 at the end of a good frame */
    uint8_t block;     /* bytes left in the present COBS block */
    bool zero_pending; /* a zero follows the block unless the frame ends */
    bool broken;       /* drop everything up to the next delimiter */
    bool started;
    uint16_t bad_frames;
};

/* Takes one byte of the line. True when a good frame is complete: buffer[0] is the sequence, buffer[1] the
 * type, and *payload_length bytes of payload follow. The frame stands until the next call. */
bool link_receive(struct link *link, uint8_t byte, uint8_t *payload_length);

/* Writes a frame with its delimiter to `wire` (LINK_WIRE_MAX bytes); returns the number of bytes, 0 when the
 * payload is too long. */
uint8_t link_encode(uint8_t *wire, uint8_t sequence, uint8_t type, const uint8_t *payload, uint8_t length);

#endif
