#include "button.h"

enum button_event button_tick(struct button *button, bool closed)
{
    button->history = (uint8_t)((button->history << 1) | (closed ? 1U : 0U));
    uint8_t recent = button->history & 0x0FU;

    if (!button->down) {
        if (recent == 0x0FU) {
            button->down = true;
            button->spent = false;
            button->held_ms = 0;
        }
        return BUTTON_NONE;
    }
    if (recent == 0) {
        button->down = false;
        return button->spent ? BUTTON_NONE : BUTTON_CALL_NEXT;
    }
    if (button->held_ms < BUTTON_STUCK_MS)
        button->held_ms = (uint16_t)(button->held_ms + BUTTON_TICK_MS);
    if (!button->spent && button->held_ms >= BUTTON_LONG_MS) {
        button->spent = true;
        return BUTTON_RECALL;
    }
    return BUTTON_NONE;
}
