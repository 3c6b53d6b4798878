/* Unit tests of power.c: battery, mains, shutdown, wake and the heartbeat watchdog. */
#include <string.h>

#include "power.h"
#include "units.h"

static unsigned happened[EVENT_RESTARTED + 1];

/* Runs so many seconds, with a heartbeat each second when asked for. */
static void power_run(struct power *power, unsigned seconds, bool mains, uint16_t mv, bool heartbeats)
{
    const struct power_input input = {mains, mv, false};

    for (unsigned s = 0; s < seconds; s++) {
        if (heartbeats && power_pi_on(power))
            power_heartbeat(power, false, false);
        for (unsigned tick = 0; tick < 1000 / POWER_TICK_MS; tick++)
            happened[power_tick(power, &input)]++;
    }
}

static void power_fresh(struct power *power, bool mains)
{
    memset(happened, 0, sizeof happened);
    power_init(power, mains);
}

static void power_stays_on_with_a_living_node(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 100000, true, 12700, true);
    CHECK(power_pi_on(&power) && power.state == POWER_ON);
    for (unsigned kind = EVENT_CALL_NEXT; kind <= EVENT_RESTARTED; kind++)
        CHECK(happened[kind] == 0);
}

static void power_warns_asks_and_cuts_when_the_battery_runs_empty(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 10, true, 12700, true);
    power_run(&power, 10, false, 12500, true);
    CHECK(happened[EVENT_MAINS_LOST] == 1 && happened[EVENT_BATTERY_LOW] == 0);
    power_run(&power, 4, false, 11500, true); /* a dip */
    power_run(&power, 4, false, 12500, true);
    CHECK(happened[EVENT_BATTERY_LOW] == 0);
    power_run(&power, 20, false, 11500, true);
    CHECK(happened[EVENT_BATTERY_LOW] == 1 && happened[EVENT_SHUTDOWN_ASKED] == 0);
    power_run(&power, 20, false, 11100, true);
    CHECK(happened[EVENT_SHUTDOWN_ASKED] == 1 && power_pi_on(&power));
    CHECK(power_shutdown_ack(&power, 30, 0));
    power_run(&power, 29, false, 11100, false);
    CHECK(power_pi_on(&power));
    power_run(&power, 2, false, 11100, false);
    CHECK(!power_pi_on(&power));
    power_run(&power, 5000, false, 11400, false);
    CHECK(!power_pi_on(&power));
    power_run(&power, 10, true, 11400, false);
    CHECK(power_pi_on(&power) && happened[EVENT_WOKE_MAINS] == 1);
}

static void power_cuts_without_an_acknowledgement_only_after_five_minutes_or_when_critical(void)
{
    struct power power;

    power_fresh(&power, false);
    power_run(&power, 20, false, 11000, true);
    CHECK(power.state == POWER_ASKED);
    power_run(&power, ASK_TIMEOUT_S - 20, false, 11000, true);
    CHECK(power_pi_on(&power));
    power_run(&power, 25, false, 11000, true);
    CHECK(!power_pi_on(&power));
    power_fresh(&power, false);
    power_run(&power, 20, false, 11000, true);
    CHECK(power.state == POWER_ASKED);
    power_run(&power, 2, false, 10400, true);
    CHECK(!power_pi_on(&power));
    power_fresh(&power, true);
    power_run(&power, 20, true, 12700, true);
    power_run(&power, 1, false, 1, true); /* mains and battery are gone: the capacitors carry on */
    CHECK(happened[EVENT_SHUTDOWN_ASKED] == 0 && happened[EVENT_MAINS_LOST] == 1);
    power_run(&power, 1, false, 1, true);
    CHECK(happened[EVENT_SHUTDOWN_ASKED] == 1);
    power_run(&power, HOLD_UP_S - 2, false, 1, true);
    CHECK(power_pi_on(&power));
    power_run(&power, 3, false, 1, true);
    CHECK(!power_pi_on(&power));
}

static void power_comes_back_when_the_mains_return_while_the_shutdown_runs(void)
{
    struct power power;

    power_fresh(&power, false);
    power_run(&power, 20, false, 11000, true);
    CHECK(power.state == POWER_ASKED && power_shutdown_ack(&power, 20, 0));
    power_run(&power, 15, true, 12900, false); /* the Pi halts all the same */
    CHECK(power.state == POWER_ACKED && happened[EVENT_MAINS_BACK] == 1);
    power_run(&power, 8, true, 12900, false);
    CHECK(!power_pi_on(&power));
    power_run(&power, 8, true, 12900, false);
    CHECK(power_pi_on(&power) && happened[EVENT_WOKE_MAINS] == 1);
}

static void power_stays_off_after_a_shutdown_by_hand_until_the_button_or_the_timer(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 5, true, 12700, true);
    CHECK(power_shutdown_ack(&power, 10, 0));
    power_run(&power, 3600, true, 12700, false);
    CHECK(!power_pi_on(&power));
    const struct power_input held = {true, 12700, true};
    for (unsigned tick = 0; tick < 20; tick++)
        power_tick(&power, &held);
    CHECK(power_pi_on(&power) && happened[EVENT_CALL_NEXT] == 0);

    power_fresh(&power, false);
    power_run(&power, 5, false, 12700, true);
    CHECK(power_shutdown_ack(&power, 10, 100));
    power_run(&power, 100, false, 12700, false);
    CHECK(!power_pi_on(&power));
    power_run(&power, 15, false, 12700, false);
    CHECK(power_pi_on(&power) && happened[EVENT_WOKE_TIMER] == 1);
}

static void power_does_not_wake_by_timer_on_an_empty_battery(void)
{
    struct power power;

    power_fresh(&power, false);
    power_run(&power, 5, false, 12700, true);
    CHECK(power_shutdown_ack(&power, 10, 100));
    power_run(&power, 1000, false, 11700, false);
    CHECK(!power_pi_on(&power));
    power_run(&power, 5, false, 11900, false);
    CHECK(power_pi_on(&power));
}

static void power_cycles_a_hung_node_with_growing_patience(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 60, true, 12700, true);
    power_run(&power, 28, true, 12700, false);
    CHECK(power_pi_on(&power));
    power_run(&power, 3, true, 12700, false);
    CHECK(!power_pi_on(&power) && happened[EVENT_POWER_CYCLED] == 1);
    power_run(&power, OFF_MIN_S + 1, true, 12700, false);
    CHECK(power_pi_on(&power));
    power_run(&power, BOOT_GRACE_S - 10, true, 12700, false);
    CHECK(power_pi_on(&power));
    power_run(&power, 3600, true, 12700, false);
    unsigned hour = happened[EVENT_POWER_CYCLED];
    CHECK(hour >= 4 && hour <= 8);
    power_run(&power, 3600, true, 12700, false);
    CHECK(happened[EVENT_POWER_CYCLED] - hour <= 4); /* every quarter of an hour */
}

static void power_leaves_an_updating_node_alone_for_an_hour(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 5, true, 12700, true);
    power_heartbeat(&power, true, false);
    power_run(&power, UPDATE_MAX_S - 10, true, 12700, false);
    CHECK(power_pi_on(&power));
    power_run(&power, 20, true, 12700, false);
    CHECK(happened[EVENT_POWER_CYCLED] == 1);
}

static void power_waits_for_a_node_that_took_its_leave_as_for_one_that_starts(void)
{
    struct power power;

    power_fresh(&power, true);
    power_run(&power, 60, true, 12700, true);
    power_heartbeat(&power, false, true);
    power_run(&power, BOOT_GRACE_S - 5, true, 12700, false);
    CHECK(power_pi_on(&power));
    power_run(&power, 7, true, 12700, false);
    CHECK(!power_pi_on(&power) && happened[EVENT_POWER_CYCLED] == 1);
}

static void power_refuses_senseless_acknowledgements(void)
{
    struct power power;

    power_fresh(&power, true);
    CHECK(!power_shutdown_ack(&power, 0, 0) && !power_shutdown_ack(&power, 4, 0) && !power_shutdown_ack(&power, 251, 0));
    CHECK(power_shutdown_ack(&power, 5, 0) && !power_shutdown_ack(&power, 5, 0));
    power_run(&power, 10, true, 12700, false);
    CHECK(!power_pi_on(&power) && !power_shutdown_ack(&power, 5, 0));
}

static void power_never_stays_off_for_ever_with_mains_that_come_and_go(void)
{
    unsigned random = 17;

    for (unsigned trial = 0; trial < 200; trial++) {
        struct power power;
        power_fresh(&power, trial & 1);
        for (unsigned step = 0; step < 60; step++) {
            random = random * 1664525u + 1013904223u;
            bool mains = random >> 31;
            uint16_t mv = (uint16_t)(10300u + (random >> 16) % 2600u);
            power_run(&power, (random >> 8) % 90u, mains, mv, random >> 30 & 1);
            if ((random >> 4) % 7 == 0 && power.state == POWER_ASKED)
                power_shutdown_ack(&power, 20, 0);
        }
        /* Whatever came before: mains that go, return and stay bring the Pi back. */
        power_run(&power, 400, false, 10000, false);
        power_run(&power, 30, true, 12700, false);
        CHECK(power_pi_on(&power));
    }
}

const struct unit power_units[] = {
    TEST(power_stays_on_with_a_living_node),
    TEST(power_warns_asks_and_cuts_when_the_battery_runs_empty),
    TEST(power_cuts_without_an_acknowledgement_only_after_five_minutes_or_when_critical),
    TEST(power_comes_back_when_the_mains_return_while_the_shutdown_runs),
    TEST(power_stays_off_after_a_shutdown_by_hand_until_the_button_or_the_timer),
    TEST(power_does_not_wake_by_timer_on_an_empty_battery),
    TEST(power_cycles_a_hung_node_with_growing_patience),
    TEST(power_leaves_an_updating_node_alone_for_an_hour),
    TEST(power_waits_for_a_node_that_took_its_leave_as_for_one_that_starts),
    TEST(power_refuses_senseless_acknowledgements),
    TEST(power_never_stays_off_for_ever_with_mains_that_come_and_go),
};
const unsigned power_unit_count = sizeof power_units / sizeof *power_units;
