/* The call-next button: debounced, a short press calls the next patient, a long one calls the same again.
 * Pure: the level is an argument, time passes by calls of button_tick. */
#ifndef UPK_BUTTON_H
#define UPK_BUTTON_H

#include <stdbool.h>
#include <stdint.h>

#define BUTTON_TICK_MS 5U
#define BUTTON_LONG_MS 800U
#define BUTTON_STUCK_MS 30000U /* held longer: something lies on it; reported as nothing more */

enum button_event { BUTTON_NONE, BUTTON_CALL_NEXT, BUTTON_RECALL };

struct button {
    uint8_t history; /* last samples, newest in bit 0 */
    bool down;
    bool spent; /* the long press was reported */
    uint16_t held_ms;
};

/* Call every BUTTON_TICK_MS with true while the contact is closed. A level counts after four equal samples
 * (20 ms). The short press is reported at its release, the long one after BUTTON_LONG_MS. */
enum button_event button_tick(struct button *button, bool closed);

#endif
