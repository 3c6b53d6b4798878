/* Unit tests of the pure files: `units` lists their names, `units NAME` runs one. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "button.h"
#include "crc16.h"
#include "gauge.h"
#include "journal.h"
#include "link.h"
#include "power.h"
#include "segments.h"

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);                                       \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint8_t eeprom[1024];
static unsigned writes_left; /* the power goes after so many writes */
static unsigned cell_writes[1024];

static uint8_t ee_read(uint16_t address)
{
    CHECK(address < sizeof eeprom);
    return eeprom[address];
}

static void ee_write(uint16_t address, uint8_t byte)
{
    CHECK(address < sizeof eeprom);
    if (writes_left == 0 || eeprom[address] == byte)
        return;
    writes_left--;
    cell_writes[address]++;
    eeprom[address] = byte;
}

static void ee_fresh(void)
{
    memset(eeprom, 0xFF, sizeof eeprom);
    memset(cell_writes, 0, sizeof cell_writes);
    writes_left = 1000000;
}

/* -- button ------------------------------------------------------------------------------------------ */

static unsigned button_run(struct button *button, bool closed, unsigned ms, enum button_event *last)
{
    unsigned events = 0;

    for (unsigned at = 0; at < ms; at += BUTTON_TICK_MS) {
        enum button_event event = button_tick(button, closed);
        if (event != BUTTON_NONE) {
            events++;
            *last = event;
        }
    }
    return events;
}

static void button_short_press_is_one_call(void)
{
    struct button button = {0};
    enum button_event last = BUTTON_NONE;

    CHECK(button_run(&button, true, 200, &last) == 0);
    CHECK(button_run(&button, false, 200, &last) == 1 && last == BUTTON_CALL_NEXT);
    CHECK(button_run(&button, false, 5000, &last) == 0);
}

static void button_long_press_is_one_recall_at_once(void)
{
    struct button button = {0};
    enum button_event last = BUTTON_NONE;

    CHECK(button_run(&button, true, BUTTON_LONG_MS + 40, &last) == 1 && last == BUTTON_RECALL);
    CHECK(button_run(&button, true, 120000, &last) == 0);
    CHECK(button_run(&button, false, 500, &last) == 0);
}

static void button_bounce_and_noise_call_nobody(void)
{
    struct button button = {0};
    enum button_event last = BUTTON_NONE;
    unsigned random = 1, events = 0;

    for (unsigned i = 0; i < 100000; i++) {
        random = random * 1664525u + 1013904223u;
        events += button_run(&button, random >> 28 == 0, 5, &last); /* closed one time in sixteen */
    }
    CHECK(events <= 8); /* four in a row by chance: 100000 / 65536 */
    button = (struct button){0};
    for (unsigned i = 0; i < 6; i++)
        CHECK(button_run(&button, i % 2 == 0, 5, &last) == 0);
    CHECK(button_run(&button, true, 100, &last) == 0);
    for (unsigned i = 0; i < 6; i++)
        CHECK(button_run(&button, i % 2 == 0, 5, &last) == 0);
    CHECK(button_run(&button, false, 100, &last) == 1 && last == BUTTON_CALL_NEXT);
}

/* -- segments ---------------------------------------------------------------------------------------- */

static void segments_are_right_aligned_and_refuse_what_they_cannot_show(void)
{
    uint8_t digits[DIGITS];

    CHECK(segments_of(digits, (const uint8_t *)"A-07", 4));
    CHECK(digits[0] == 0x70 && digits[1] == 0x7E && digits[2] == 0x01 && digits[3] == 0x77 && digits[4] == 0);
    CHECK(segments_of(digits, (const uint8_t *)"", 0) && digits[0] == 0 && digits[7] == 0);
    memset(digits, 0x55, sizeof digits);
    CHECK(!segments_of(digits, (const uint8_t *)"123456789", 9));
    CHECK(!segments_of(digits, (const uint8_t *)"12x", 3));
    CHECK(digits[0] == 0x55 && digits[7] == 0x55);
    const uint8_t pointed[] = {'1', '2' | 0x80};
    CHECK(segments_of(digits, pointed, 2) && digits[0] == (0x6D | 0x80) && digits[1] == 0x30);
    for (unsigned character = 0; character < 256; character++) {
        const uint8_t one = (uint8_t)character;
        bool known = strchr("0123456789ABCDEFHLPU- ", one & 0x7F) != NULL && (one & 0x7F) != 0;
        CHECK(segments_of(digits, &one, 1) == known);
    }
}

/* -- journal and log --------------------------------------------------------------------------------- */

static void journal_survives_a_reset_and_not_random_memory(void)
{
    struct journal journal;

    memset(&journal, 0xA7, sizeof journal);
    CHECK(!journal_open(&journal) && journal_head(&journal) == NULL);
    CHECK(journal_add(&journal, 1, 0, 5) == 1);
    CHECK(journal_add(&journal, 3, 11700, 6) == 2);
    CHECK(journal_open(&journal));
    CHECK(journal_head(&journal)->number == 1);
    struct journal spoilt = journal;
    for (unsigned bit = 0; bit < 8 * offsetof(struct journal, check); bit++) {
        spoilt = journal;
        ((uint8_t *)&spoilt)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(!journal_open(&spoilt));
    }
}

static void journal_keeps_the_newest_eight_and_forgets_only_what_was_acknowledged(void)
{
    struct journal journal = {0};

    journal_open(&journal);
    for (uint16_t i = 0; i < 11; i++)
        CHECK(journal_add(&journal, 1, i, i) == i + 1);
    CHECK(journal.count == EVENTS_KEPT && journal_head(&journal)->number == 4);
    journal_ack(&journal, 5);
    journal_ack(&journal, 3);
    CHECK(journal_head(&journal)->number == 4);
    for (uint16_t number = 4; number <= 11; number++) {
        CHECK(journal_head(&journal)->number == number);
        journal_ack(&journal, number);
    }
    CHECK(journal_head(&journal) == NULL);
    journal_ack(&journal, 11);
    CHECK(journal_add(&journal, 1, 0, 0) == 12);
}

static void log_finds_its_end_after_a_power_cut_at_any_write(void)
{
    for (unsigned cut = 0; cut < 40; cut++) {
        struct log_state log;
        struct log_record record, got;
        ee_fresh();
        log_open(&log, ee_read);
        for (uint16_t i = 1; i <= 100; i++) {
            record = (struct log_record){3, i, i * 1000u, 7};
            log_add(&log, &record, ee_write);
        }
        writes_left = cut;
        for (uint16_t i = 101; i <= 104; i++) {
            record = (struct log_record){4, i, i * 1000u, 7};
            log_add(&log, &record, ee_write);
        }
        writes_left = 1000000;
        log_open(&log, ee_read);
        CHECK(log_get(&log, 0, &got, ee_read));
        CHECK(got.value >= 100 && got.value <= 104 && got.uptime_s == got.value * 1000u && got.boots == 7);
        uint16_t newest = got.value;
        for (uint8_t back = 1; back < 70; back++)
            CHECK(log_get(&log, back, &got, ee_read) && got.value == newest - back);
        record = (struct log_record){5, 999, 1, 8};
        log_add(&log, &record, ee_write);
        log_open(&log, ee_read);
        CHECK(log_get(&log, 0, &got, ee_read) && got.value == 999 && log.boots == 8);
        CHECK(!log_get(&log, 80, &got, ee_read));
    }
}

static void log_wears_every_place_alike(void)
{
    struct log_state log;

    ee_fresh();
    log_open(&log, ee_read);
    for (unsigned i = 0; i < 80u * 50u; i++) {
        struct log_record record = {3, (uint16_t)i, i, 1};
        log_add(&log, &record, ee_write);
    }
    for (unsigned at = EEPROM_LOG; at < EEPROM_LOG + 80u * LOG_RECORD_BYTES; at++)
        CHECK(cell_writes[at] <= 50);
    CHECK(cell_writes[EEPROM_LOG] >= 49);
    for (unsigned at = 0; at < EEPROM_LOG; at++)
        CHECK(cell_writes[at] == 0);
}

static void log_passes_over_an_empty_and_a_foreign_eeprom(void)
{
    struct log_state log;
    struct log_record got;
    unsigned random = 3;

    ee_fresh();
    log_open(&log, ee_read);
    CHECK(log.boots == 0 && !log_get(&log, 0, &got, ee_read));
    for (unsigned i = 0; i < sizeof eeprom; i++) {
        random = random * 1664525u + 1013904223u;
        eeprom[i] = (uint8_t)(random >> 24);
    }
    log_open(&log, ee_read);
    struct log_record record = {9, 1, 2, 3};
    log_add(&log, &record, ee_write);
    log_open(&log, ee_read);
    CHECK(log_get(&log, 0, &got, ee_read) && got.kind == 9 && got.uptime_s == 2);
}

/* -- gauge ------------------------------------------------------------------------------------------- */

static void gauge_filters_and_converts(void)
{
    struct gauge gauge;

    ee_fresh();
    gauge_open(&gauge, ee_read);
    CHECK(gauge_mv(&gauge, 0) == 0);
    for (unsigned i = 0; i < 200; i++)
        gauge_sample(&gauge, 0, 469); /* 2.29 V behind the divider */
    CHECK(gauge_mv(&gauge, 0) > 12650 && gauge_mv(&gauge, 0) < 12750);
    uint16_t before = gauge_mv(&gauge, 0);
    gauge_sample(&gauge, 0, 0); /* one wrong sample moves it by a thirty-second */
    CHECK(before - gauge_mv(&gauge, 0) < before / 30);
    for (unsigned i = 0; i < 1000; i++)
        gauge_sample(&gauge, 1, 1023);
    CHECK(gauge_mv(&gauge, 1) > 27000);
    gauge_open(&gauge, ee_read);
    for (unsigned i = 0; i < 100; i++)
        gauge_sample(&gauge, 1, 0); /* nothing is connected: that is known */
    CHECK(gauge_mv(&gauge, 1) == 1);
}

static void gauge_calibration_survives_a_power_cut_at_any_write(void)
{
    for (unsigned cut = 0; cut <= 16; cut++) {
        struct gauge gauge;
        ee_fresh();
        gauge_open(&gauge, ee_read);
        for (unsigned i = 0; i < 200; i++)
            gauge_sample(&gauge, 0, 469);
        CHECK(gauge_calibrate(&gauge, 0, 12500, ee_write));
        uint16_t old = gauge.gain[0];
        writes_left = cut;
        CHECK(gauge_calibrate(&gauge, 0, 13000, ee_write));
        uint16_t new = gauge.gain[0];
        writes_left = 100000;
        gauge_open(&gauge, ee_read);
        CHECK(gauge.gain[0] == old || gauge.gain[0] == new);
        CHECK(gauge.gain[1] == GAIN_DEFAULT);
    }
}

static void gauge_refuses_a_calibration_that_cannot_be(void)
{
    struct gauge gauge;

    ee_fresh();
    gauge_open(&gauge, ee_read);
    CHECK(!gauge_calibrate(&gauge, 0, 12500, ee_write)); /* no samples */
    for (unsigned i = 0; i < 200; i++)
        gauge_sample(&gauge, 0, 469);
    CHECK(!gauge_calibrate(&gauge, 0, 0, ee_write));
    CHECK(!gauge_calibrate(&gauge, 0, 65535, ee_write));
    CHECK(!gauge_calibrate(&gauge, 0, 9000, ee_write));
    CHECK(!gauge_calibrate(&gauge, 2, 12500, ee_write));
    CHECK(!gauge_calibrate(&gauge, 1, 12500, ee_write));
    CHECK(gauge.gain[0] == GAIN_DEFAULT);
}

/* -- power ------------------------------------------------------------------------------------------- */

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

/* -- link -------------------------------------------------------------------------------------------- */

static bool link_feed(struct link *link, const uint8_t *wire, unsigned length, uint8_t *payload_length)
{
    bool got = false;

    for (unsigned i = 0; i < length; i++)
        got = link_receive(link, wire[i], payload_length) || got;
    return got;
}

static void crc_has_its_check_value(void)
{
    uint16_t crc = CRC16_START;

    for (const char *c = "123456789"; *c; c++)
        crc = crc16_byte(crc, (uint8_t)*c);
    CHECK(crc == 0x29B1);
}

static void link_carries_every_length_and_refuses_the_next(void)
{
    uint8_t payload[LINK_PAYLOAD_MAX + 1], wire[LINK_WIRE_MAX];

    for (unsigned fill = 0; fill < 256; fill++) {
        memset(payload, (int)fill, sizeof payload);
        for (uint8_t length = 0; length <= LINK_PAYLOAD_MAX; length++) {
            struct link link = {.crc = CRC16_START};
            uint8_t got;
            unsigned size = link_encode(wire, (uint8_t)fill, 0x42, payload, length);
            CHECK(size != 0 && size <= LINK_WIRE_MAX);
            CHECK(link_feed(&link, wire, size, &got) && got == length);
            CHECK(link.buffer[0] == fill && link.buffer[1] == 0x42 && !memcmp(link.buffer + 2, payload, length));
            CHECK(link.bad_frames == 0);
        }
    }
    CHECK(link_encode(wire, 1, 1, payload, LINK_PAYLOAD_MAX + 1) == 0);
}

static void link_finds_every_single_flipped_bit(void)
{
    uint8_t wire[LINK_WIRE_MAX];
    const uint8_t payload[] = {0, 1, 2, 0, 0xFF, 0, 0};
    unsigned size = link_encode(wire, 9, 3, payload, sizeof payload);

    for (unsigned bit = 0; bit < 8 * size; bit++) {
        struct link link = {.crc = CRC16_START};
        uint8_t got, spoilt[LINK_WIRE_MAX + 1U] = {0}; /* ends the frame when its own end is spoilt */
        memcpy(spoilt, wire, size);
        spoilt[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(!link_feed(&link, spoilt, size + 1U, &got));
        CHECK(link_feed(&link, wire, size, &got) && got == sizeof payload);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
#define TEST(name) {#name, name}
    TEST(button_short_press_is_one_call),
    TEST(button_long_press_is_one_recall_at_once),
    TEST(button_bounce_and_noise_call_nobody),
    TEST(segments_are_right_aligned_and_refuse_what_they_cannot_show),
    TEST(journal_survives_a_reset_and_not_random_memory),
    TEST(journal_keeps_the_newest_eight_and_forgets_only_what_was_acknowledged),
    TEST(log_finds_its_end_after_a_power_cut_at_any_write),
    TEST(log_wears_every_place_alike),
    TEST(log_passes_over_an_empty_and_a_foreign_eeprom),
    TEST(gauge_filters_and_converts),
    TEST(gauge_calibration_survives_a_power_cut_at_any_write),
    TEST(gauge_refuses_a_calibration_that_cannot_be),
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
    TEST(crc_has_its_check_value),
    TEST(link_carries_every_length_and_refuses_the_next),
    TEST(link_finds_every_single_flipped_bit),
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (argc < 2) {
            puts(tests[i].name);
        } else if (!strcmp(argv[1], tests[i].name)) {
            tests[i].run();
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
