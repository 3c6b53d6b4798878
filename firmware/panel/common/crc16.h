/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, no reflection (check value of "123456789": 0x29B1). */
#ifndef UPK_CRC16_H
#define UPK_CRC16_H

#include <stdint.h>

#define CRC16_START 0xFFFFU

/* The sum over a message and its complemented sum, high byte first. Sent as it is, the sum over both would be 0, and
 * a frame with a zero more or less at its end would pass. */
#define CRC16_RESIDUE 0x1D0FU

/* One byte more. */
uint16_t crc16_byte(uint16_t crc, uint8_t byte);

#endif
