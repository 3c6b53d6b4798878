#include "power.h"

static void enter(struct power *power, enum power_state state)
{
    power->state = state;
    power->state_s = 0;
}

static void switch_on(struct power *power)
{
    enter(power, POWER_ON);
    power->silent_s = 0;
    power->heard = false;
    power->updating = false;
    power->update_s = 0;
    power->asked = false;
    power->low_s = 0;
    power->very_low_s = 0;
}

static void switch_off(struct power *power, uint32_t wake_in_s, bool cycling)
{
    power->wake_by_timer = wake_in_s != 0;
    power->wake_in_s = wake_in_s;
    power->cycling = cycling;
    /* Mains that came back while an empty battery's shutdown ran have to wake the Pi all the same. */
    power->mains_at_cut = power->mains_seen && !power->asked;
    enter(power, POWER_OFF);
}

void power_init(struct power *power, bool mains)
{
    *power = (struct power){.mains_seen = mains};
    switch_on(power);
}

void power_heartbeat(struct power *power, bool updating, bool leaving)
{
    power->silent_s = 0;
    power->heard = !leaving;
    power->cycles = 0;
    if (!updating)
        power->update_s = 0;
    power->updating = updating;
}

bool power_shutdown_ack(struct power *power, uint8_t cut_in_s, uint32_t wake_in_s)
{
    if (cut_in_s < 5 || cut_in_s > 250 || power->state == POWER_OFF || power->state == POWER_ACKED)
        return false;
    power->cut_in_s = cut_in_s;
    power->wake_in_s = wake_in_s;
    enter(power, POWER_ACKED);
    return true;
}

/* Counts how long the battery has been low; a charger that works makes it irrelevant. */
static void watch_battery(struct power *power, const struct power_input *input)
{
    bool measured = input->battery_mv != 0 && !input->mains;
    bool low = measured && input->battery_mv < BATTERY_WARN_MV;
    bool very_low = measured && input->battery_mv < BATTERY_SHUTDOWN_MV;

    power->low_s = low ? (uint8_t)(power->low_s < 255 ? power->low_s + 1 : 255) : 0;
    power->very_low_s = very_low ? (uint8_t)(power->very_low_s < 255 ? power->very_low_s + 1 : 255) : 0;
    if (very_low && input->battery_mv < BATTERY_CRITICAL_MV && power->very_low_s < LOW_FOR_S)
        power->very_low_s = LOW_FOR_S; /* no load makes such a dip */
}

static enum event_kind watch_mains(struct power *power, bool mains)
{
    if (mains == power->mains_seen) {
        power->mains_same_s = 0;
        return EVENT_NONE;
    }
    /* A loss counts after one second, a return only when it stays. */
    if (++power->mains_same_s < (mains ? MAINS_STABLE_S : 1U))
        return EVENT_NONE;
    power->mains_seen = mains;
    power->mains_same_s = 0;
    return mains ? EVENT_MAINS_BACK : EVENT_MAINS_LOST;
}

/* A node that went silent. Three cycles without a word, then more patience: a Pi that repairs its disk. */
static bool pi_is_hung(struct power *power)
{
    uint16_t patience = power->heard ? 30U : (power->cycles >= 3 ? BOOT_GRACE_LONG_S : BOOT_GRACE_S);

    if (power->updating && power->update_s < UPDATE_MAX_S) {
        power->update_s++;
        return false;
    }
    return power->silent_s >= patience;
}

static enum event_kind second_on(struct power *power, const struct power_input *input)
{
    if (power->silent_s < UINT16_MAX)
        power->silent_s++;
    if (power->very_low_s >= LOW_FOR_S) {
        power->asked = true;
        enter(power, POWER_ASKED);
        return EVENT_SHUTDOWN_ASKED;
    }
    if (pi_is_hung(power)) {
        if (power->cycles < 255)
            power->cycles++;
        switch_off(power, OFF_MIN_S, true);
        return EVENT_POWER_CYCLED;
    }
    if (power->state == POWER_WARNED) {
        if (input->mains)
            enter(power, POWER_ON);
        return EVENT_NONE;
    }
    if (power->low_s >= LOW_FOR_S) {
        enter(power, POWER_WARNED);
        return EVENT_BATTERY_LOW;
    }
    return EVENT_NONE;
}

static enum event_kind second_off(struct power *power, const struct power_input *input)
{
    if (power->wake_by_timer && power->wake_in_s != 0)
        power->wake_in_s--;
    if (power->state_s < OFF_MIN_S)
        return EVENT_NONE;
    if (power->cycling && power->wake_in_s == 0) {
        switch_on(power);
        return EVENT_NONE;
    }
    bool charged = power->mains_seen || input->battery_mv >= BATTERY_WAKE_MV;
    if (power->wake_by_timer && power->wake_in_s == 0 && charged) {
        switch_on(power);
        return EVENT_WOKE_TIMER;
    }
    if (power->mains_seen && !power->mains_at_cut) {
        switch_on(power);
        return EVENT_WOKE_MAINS;
    }
    power->mains_at_cut = power->mains_at_cut && power->mains_seen;
    if (input->button && charged)
        switch_on(power);
    return EVENT_NONE;
}

static enum event_kind second(struct power *power, const struct power_input *input)
{
    if (power->state_s < UINT16_MAX)
        power->state_s++;
    switch (power->state) {
    case POWER_ON:
    case POWER_WARNED:
        return second_on(power, input);
    case POWER_ASKED:
        if (power->state_s >= ASK_TIMEOUT_S ||
            (power->state_s >= HOLD_UP_S && !input->mains && input->battery_mv != 0 &&
             input->battery_mv < BATTERY_CRITICAL_MV))
            switch_off(power, 0, false);
        return EVENT_NONE;
    case POWER_ACKED:
        if (power->state_s >= power->cut_in_s)
            switch_off(power, power->wake_in_s, false);
        return EVENT_NONE;
    case POWER_OFF:
        return second_off(power, input);
    }
    return EVENT_NONE;
}

enum event_kind power_tick(struct power *power, const struct power_input *input)
{
    if (++power->ticks < 1000U / POWER_TICK_MS)
        return EVENT_NONE;
    power->ticks = 0;
    watch_battery(power, input);
    enum event_kind mains = watch_mains(power, input->mains);
    if (mains != EVENT_NONE) {
        /* A shutdown that runs while the mains come back still has to end in a cut: the Pi is halting. */
        if (power->state_s < UINT16_MAX)
            power->state_s++;
        return mains;
    }
    return second(power, input);
}
