/* Hears a line from standard input with the firmware's decoder: one line of hexadecimal digits for each good frame
 * (sequence, type, payload), each of which is encoded anew as a second line, then "bad N". */
#include <stdio.h>

#include "link.h"
#include "crc16.h"

static void print(const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
}

int main(void)
{
    struct link link = {.crc = CRC16_START};
    uint8_t length, wire[LINK_WIRE_MAX];
    int byte;

    while ((byte = getchar()) != EOF) {
        if (!link_receive(&link, (uint8_t)byte, &length))
            continue;
        print(link.buffer, length + 2U);
        print(wire, link_encode(wire, link.buffer[0], link.buffer[1], link.buffer + 2, length));
    }
    printf("bad %u\n", link.bad_frames);
    return 0;
}
