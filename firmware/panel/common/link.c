#include "link.h"

#include "crc16.h"

static bool link_finish(struct link *link, uint8_t *payload_length)
{
    bool seen = link->started || link->broken;
    bool good = link->started && !link->broken && link->block == 0 && link->length >= LINK_OVERHEAD &&
                link->crc == CRC16_RESIDUE;

    *payload_length = (uint8_t)(link->length - LINK_OVERHEAD);
    link->length = 0;
    link->block = 0;
    link->crc = CRC16_START;
    link->zero_pending = false;
    link->broken = false;
    link->started = false;
    if (seen && !good && link->bad_frames != UINT16_MAX)
        link->bad_frames++;
    return good;
}

static void link_store(struct link *link, uint8_t byte)
{
    if (link->length >= UPK_FRAME_MAX) {
        link->broken = true;
        return;
    }
    link->buffer[link->length++] = byte;
    link->crc = crc16_byte(link->crc, byte);
}

bool link_receive(struct link *link, uint8_t byte, uint8_t *payload_length)
{
    if (byte == 0)
        return link_finish(link, payload_length);
    if (link->broken)
        return false;
    if (link->block == 0) {
        if (link->zero_pending)
            link_store(link, 0);
        link->started = true;
        link->zero_pending = byte != 0xFF;
        link->block = (uint8_t)(byte - 1U);
        return false;
    }
    link_store(link, byte);
    link->block--;
    return false;
}

uint8_t link_encode(uint8_t *wire, uint8_t sequence, uint8_t type, const uint8_t *payload, uint8_t length)
{
    uint16_t crc = CRC16_START;
    uint8_t code_at = 0, at = 1, code = 1;

    if (length > LINK_PAYLOAD_MAX)
        return 0;
    for (uint8_t i = 0; i < (uint8_t)(length + LINK_OVERHEAD); i++) {
        uint8_t byte;
        if (i == 0)
            byte = sequence;
        else if (i == 1)
            byte = type;
        else if (i < (uint8_t)(length + 2U))
            byte = payload[i - 2U];
        else if (i == (uint8_t)(length + 2U))
            byte = (uint8_t)~(crc >> 8);
        else
            byte = (uint8_t)~crc;
        if (i < (uint8_t)(length + 2U))
            crc = crc16_byte(crc, byte);
        if (byte == 0) {
            wire[code_at] = code;
            code_at = at++;
            code = 1;
        } else {
            wire[at++] = byte;
            code++;
        }
    }
    wire[code_at] = code;
    wire[at++] = 0;
    return at;
}
