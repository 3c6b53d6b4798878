/* Text → segments of the MAX7219 in no-decode mode (bit 7 the point, then a b c d e f g). Pure. */
#ifndef UPK_SEGMENTS_H
#define UPK_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#define DIGITS 8U

/* Writes the segments of `length` characters, right aligned, digits[0] being the rightmost. Bit 7 of a character
 * lights its point. False, and nothing written, when it is too long or a character cannot be shown. */
bool segments_of(uint8_t digits[DIGITS], const uint8_t *text, uint8_t length);

#endif
