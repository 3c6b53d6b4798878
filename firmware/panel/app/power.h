/* When the Pi gets power: battery, mains, shutdown, wake, and the heartbeat watchdog.
 *
 * Pure: one call each POWER_TICK_MS with what was measured; it says whether the Pi is to have power and which
 * events happened. A 12 V lead-acid or LiFePO4 battery; the thresholds are set for its terminal voltage under
 * load and are to be confirmed on the bench (HARDWARE.md). */
#ifndef UPK_POWER_H
#define UPK_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define POWER_TICK_MS 100U

#define BATTERY_WARN_MV 11600U
#define BATTERY_SHUTDOWN_MV 11200U
#define BATTERY_CRITICAL_MV 10500U /* the battery is empty or gone: ask at once, and do not wait for long */
#define BATTERY_WAKE_MV 11800U

#define LOW_FOR_S 5U            /* a dip shorter than this is load, not an empty battery */
#define ASK_TIMEOUT_S 300U      /* no acknowledgement: cut all the same, the battery would die */
#define HOLD_UP_S 10U           /* what the hold-up capacitors give the node to end in order (HARDWARE.md) */
#define OFF_MIN_S 5U            /* long enough for the rails to fall */
#define MAINS_STABLE_S 5U       /* mains that came back must stay so long */
#define BOOT_GRACE_S 180U       /* a Pi that starts, checks and migrates says nothing for so long */
#define BOOT_GRACE_LONG_S 900U  /* … after three power-cycles in a row without a heartbeat */
#define UPDATE_MAX_S 3600U      /* an update that claims to last longer is a hung node */

enum power_state { POWER_ON, POWER_WARNED, POWER_ASKED, POWER_ACKED, POWER_OFF };

/* Kinds of events, as in protocol.toml. */
enum event_kind {
    EVENT_NONE,
    EVENT_CALL_NEXT,
    EVENT_RECALL,
    EVENT_MAINS_LOST,
    EVENT_MAINS_BACK,
    EVENT_BATTERY_LOW,
    EVENT_SHUTDOWN_ASKED,
    EVENT_POWER_CYCLED,
    EVENT_WOKE_TIMER,
    EVENT_WOKE_MAINS,
    EVENT_RESTARTED
};

struct power_input {
    bool mains;
    uint16_t battery_mv; /* 0: not measured yet */
    bool button;         /* held: wakes a Pi that is off */
};

struct power {
    enum power_state state;
    uint8_t ticks; /* of the present second */
    bool mains_seen;
    uint8_t mains_same_s; /* how long the line has disagreed with mains_seen */
    uint8_t low_s;
    uint8_t very_low_s;
    uint16_t state_s;     /* in this state */
    uint16_t silent_s;    /* since the last heartbeat, or since power came on */
    uint16_t update_s;    /* the node has claimed an update for so long */
    bool updating;
    bool heard;           /* a heartbeat since power came on, and the node has not taken its leave */
    uint8_t cycles;       /* power-cycles in a row without a heartbeat */
    uint8_t cut_in_s;
    uint32_t wake_in_s;
    bool wake_by_timer;
    bool cycling;         /* off only to power-cycle */
    bool mains_at_cut;
    bool asked;           /* the shutdown that runs is for an empty battery */
};

/* Fail-safe start: the Pi has power. */
void power_init(struct power *power, bool mains);

/* One tick. Returns what happened; at most one event a tick, a second one waits for the next. */
enum event_kind power_tick(struct power *power, const struct power_input *input);

/* The node spoke. `updating`, `leaving`: bits 0 and 1 of the heartbeat's flags. */
void power_heartbeat(struct power *power, bool updating, bool leaving);

/* The node halts. False when the numbers are out of range or the Pi is off already. */
bool power_shutdown_ack(struct power *power, uint8_t cut_in_s, uint32_t wake_in_s);

static inline bool power_pi_on(const struct power *power)
{
    return power->state != POWER_OFF;
}

#endif
