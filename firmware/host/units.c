/* Unit tests of the pure files but power.c: `units` lists the names of all, `units NAME` runs one. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "button.h"
#include "crc16.h"
#include "gauge.h"
#include "journal.h"
#include "link.h"
#include "segments.h"
#include "units.h"

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

static const struct unit tests[] = {
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
    TEST(crc_has_its_check_value),
    TEST(link_carries_every_length_and_refuses_the_next),
    TEST(link_finds_every_single_flipped_bit),
};

static bool run_one(const struct unit *units, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (!name) {
            puts(units[i].name);
        } else if (!strcmp(name, units[i].name)) {
            units[i].run();
            return true;
        }
    }
    return !name;
}

int main(int argc, char **argv)
{
    const char *name = argc < 2 ? NULL : argv[1];
    bool found = run_one(tests, sizeof tests / sizeof *tests, name);

    if (!name || !found)
        found = run_one(power_units, power_unit_count, name);
    return found ? 0 : 2;
}
