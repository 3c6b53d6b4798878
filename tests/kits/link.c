/* A bad link between two network namespaces, in user space.
 *
 * Makes two network namespaces, a TUN device in each, and carries IPv4 packets between them while
 * shaping each direction: rate, queue, loss (independent or in bursts), delay and jitter, outages,
 * rates that follow a trace. It lives as long as its standard input; when it ends, the kernel takes
 * devices and namespaces away. Commands come one a line on standard input, each is answered by one
 * line on standard output (see `command` below). It knows nothing of what the packets hold, except
 * that packets for any address but the other end's are counted as strays and not carried.
 *
 * Model of one direction:  tail-drop queue -> serialiser -> loss -> propagation delay (in order)
 * A packet that is lost has used the line. A packet that meets a link that is down is lost, and so
 * is what waits in the queue at that moment. All times are computed from arrival times and rates,
 * never from when this process happened to wake up, so that a late wake-up does not change the rate.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/route.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_POINTS 4096
#define MAX_OUTAGES 256
#define MAX_PACKET 65536
#define NEVER UINT64_MAX

struct packet {
    struct packet *next;
    uint64_t due; /* ns: when it comes out at the far end */
    uint32_t size;
    uint8_t data[];
};

struct fifo {
    struct packet *head, *tail;
    uint64_t packets, bytes;
};

struct way {
    const char *name;
    int in, out;
    uint32_t peer; /* address of the far end, network order */

    double rate_bps; /* < 0: no limit; 0: nothing moves */
    uint64_t delay_ns, jitter_ns, queue_limit;
    double loss, to_bad, to_good, loss_good, loss_bad;
    bool bursts, bad;
    uint64_t random;

    uint64_t trace_at[MAX_POINTS]; /* ns after trace_start */
    double trace_bps[MAX_POINTS];
    int points, point;
    uint64_t trace_start, trace_period;

    struct fifo queue, air;
    double bits_left; /* of the packet at the head of the queue */
    uint64_t clock;   /* up to here the serialiser has been worked out */
    uint64_t last_due;

    uint64_t offered_packets, offered_bytes, sent_packets, sent_bytes, delivered_packets, delivered_bytes;
    uint64_t dropped_queue, dropped_loss, dropped_down, strays, queue_peak;
};

static struct way ways[2];
static bool is_up = true;
static uint64_t outage_from[MAX_OUTAGES], outage_to[MAX_OUTAGES];
static int outages, outage;
static uint64_t down_until = 0; /* of a scheduled outage; 0: none */

static void die(const char *what) {
    fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: small, seedable, good enough for loss. */
static double draw(struct way *w) {
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static void push(struct fifo *f, struct packet *p) {
    p->next = NULL;
    if (f->tail) f->tail->next = p;
    else f->head = p;
    f->tail = p;
    f->packets++;
    f->bytes += p->size;
}

static struct packet *pop(struct fifo *f) {
    struct packet *p = f->head;
    if (!p) return NULL;
    f->head = p->next;
    if (!f->head) f->tail = NULL;
    f->packets--;
    f->bytes -= p->size;
    return p;
}

/* Gilbert-Elliott: one step of the chain per packet, then the loss of the state it is in. */
static bool is_lost(struct way *w) {
    if (!w->bursts) return w->loss > 0 && draw(w) < w->loss;
    if (draw(w) < (w->bad ? w->to_good : w->to_bad)) w->bad = !w->bad;
    return draw(w) < (w->bad ? w->loss_bad : w->loss_good);
}

/* The head of the queue has been serialised at `at`. */
static void sent(struct way *w, uint64_t at) {
    struct packet *p = pop(&w->queue);
    w->sent_packets++;
    w->sent_bytes += p->size;
    if (w->queue.head) w->bits_left = w->queue.head->size * 8.0;
    if (is_lost(w)) {
        w->dropped_loss++;
        free(p);
        return;
    }
    uint64_t due = at + w->delay_ns;
    if (w->jitter_ns) {
        double shift = (2 * draw(w) - 1) * (double)w->jitter_ns;
        due = shift < 0 && (uint64_t)-shift > due - at ? at : (uint64_t)((double)due + shift);
    }
    if (due < w->last_due) due = w->last_due; /* jitter never reorders */
    p->due = w->last_due = due;
    push(&w->air, p);
}

static uint64_t next_trace_change(const struct way *w) {
    if (w->points == 0 || w->point >= w->points) return NEVER;
    return w->trace_start + w->trace_at[w->point];
}

static void apply_trace_change(struct way *w) {
    w->rate_bps = w->trace_bps[w->point++];
    if (w->point == w->points && w->trace_period) {
        w->point = 0;
        w->trace_start += w->trace_period;
    }
}

/* Work out the serialiser up to `now`. */
static void advance(struct way *w, uint64_t now) {
    for (;;) {
        uint64_t change = next_trace_change(w), end = change < now ? change : now;
        while (w->queue.head) {
            uint64_t finish;
            if (w->rate_bps < 0) finish = w->clock;
            else if (w->rate_bps == 0) break;
            else finish = w->clock + (uint64_t)(w->bits_left / w->rate_bps * 1e9);
            if (finish > end) break;
            w->clock = finish;
            sent(w, finish);
        }
        if (w->clock < end) {
            if (w->queue.head && w->rate_bps > 0) w->bits_left -= (double)(end - w->clock) * w->rate_bps / 1e9;
            w->clock = end;
        }
        if (change > now) return;
        apply_trace_change(w);
    }
}

static uint64_t wake_at(const struct way *w) {
    uint64_t at = w->air.head ? w->air.head->due : NEVER;
    if (w->queue.head) {
        uint64_t finish = NEVER, change = next_trace_change(w);
        if (w->rate_bps < 0) finish = w->clock;
        else if (w->rate_bps > 0) finish = w->clock + (uint64_t)(w->bits_left / w->rate_bps * 1e9);
        if (finish < at) at = finish;
        if (change < at) at = change;
    }
    return at;
}

static void deliver(struct way *w, uint64_t now) {
    while (w->air.head && w->air.head->due <= now) {
        struct packet *p = pop(&w->air);
        if (write(w->out, p->data, p->size) == (ssize_t)p->size) {
            w->delivered_packets++;
            w->delivered_bytes += p->size;
        }
        free(p);
    }
}

static void take_in(struct way *w) {
    static uint8_t buffer[MAX_PACKET];
    for (int i = 0; i < 256; i++) {
        ssize_t size = read(w->in, buffer, sizeof buffer);
        if (size <= 0) return;
        if (size < 20 || buffer[0] >> 4 != 4 || memcmp(buffer + 16, &w->peer, 4) != 0) {
            w->strays++;
            continue;
        }
        w->offered_packets++;
        w->offered_bytes += (uint64_t)size;
        if (!is_up) {
            w->dropped_down++;
            continue;
        }
        advance(w, now_ns());
        if (w->queue.bytes + (uint64_t)size > w->queue_limit && w->queue.head) {
            w->dropped_queue++;
            continue;
        }
        struct packet *p = malloc(sizeof *p + (size_t)size);
        if (!p) die("out of memory");
        p->size = (uint32_t)size;
        memcpy(p->data, buffer, (size_t)size);
        if (!w->queue.head) w->bits_left = p->size * 8.0;
        push(&w->queue, p);
        if (w->queue.bytes > w->queue_peak) w->queue_peak = w->queue.bytes;
    }
}

static void set_up(bool up, uint64_t at) {
    for (int i = 0; i < 2; i++) {
        struct way *w = &ways[i];
        advance(w, at);
        while (!up && w->queue.head) {
            free(pop(&w->queue));
            w->dropped_down++;
        }
    }
    is_up = up;
}

static void follow_outages(uint64_t now) {
    for (;;) {
        if (down_until && down_until <= now) {
            set_up(true, down_until);
            down_until = 0;
        }
        if (outage >= outages || outage_from[outage] > now) return;
        set_up(false, outage_from[outage]);
        down_until = outage_to[outage++];
    }
}

static void print_stats(void) {
    printf("{\"up\":%s", is_up ? "true" : "false");
    for (int i = 0; i < 2; i++) {
        struct way *w = &ways[i];
        printf(",\"%s\":{\"offered_packets\":%lu,\"offered_bytes\":%lu,\"sent_packets\":%lu,\"sent_bytes\":%lu,"
               "\"delivered_packets\":%lu,\"delivered_bytes\":%lu,\"dropped_queue\":%lu,\"dropped_loss\":%lu,"
               "\"dropped_down\":%lu,\"strays\":%lu,\"queue_bytes\":%lu,\"queue_peak_bytes\":%lu,\"rate_bps\":%.0f}",
               w->name, w->offered_packets, w->offered_bytes, w->sent_packets, w->sent_bytes, w->delivered_packets,
               w->delivered_bytes, w->dropped_queue, w->dropped_loss, w->dropped_down, w->strays, w->queue.bytes,
               w->queue_peak, w->rate_bps);
    }
    printf("}\n");
}

static struct way *way_named(const char *name) {
    for (int i = 0; i < 2; i++)
        if (name && strcmp(name, ways[i].name) == 0) return &ways[i];
    return NULL;
}

/* set WAY NAME=NUMBER …   trace WAY PERIOD_MS AT_MS:BPS …   outage FROM_MS LENGTH_MS   up   down   stats */
static const char *command(char *line) {
    uint64_t now = now_ns();
    char *word = strtok(line, " ");
    if (!word) return "error empty";
    if (strcmp(word, "stats") == 0) {
        for (int i = 0; i < 2; i++) advance(&ways[i], now);
        print_stats();
        return NULL;
    }
    if (strcmp(word, "up") == 0 || strcmp(word, "down") == 0) {
        set_up(word[0] == 'u', now);
        down_until = 0;
        return "ok";
    }
    if (strcmp(word, "outage") == 0) {
        char *from = strtok(NULL, " "), *length = strtok(NULL, " ");
        if (!from || !length || outages == MAX_OUTAGES) return "error outage";
        outage_from[outages] = now + (uint64_t)(atof(from) * 1e6);
        if (outages && outage_from[outages] < outage_to[outages - 1]) return "error outages must follow each other";
        outage_to[outages] = outage_from[outages] + (uint64_t)(atof(length) * 1e6);
        outages++;
        return "ok";
    }
    struct way *w = way_named(strtok(NULL, " "));
    if (!w) return "error no such way";
    advance(w, now);
    if (strcmp(word, "trace") == 0) {
        char *period = strtok(NULL, " "), *pair;
        if (!period) return "error trace";
        w->points = w->point = 0;
        w->trace_start = now;
        w->trace_period = (uint64_t)(atof(period) * 1e6);
        while ((pair = strtok(NULL, " "))) {
            double at_ms, bps;
            if (w->points == MAX_POINTS || sscanf(pair, "%lf:%lf", &at_ms, &bps) != 2) return "error trace point";
            w->trace_at[w->points] = (uint64_t)(at_ms * 1e6);
            w->trace_bps[w->points++] = bps;
        }
        advance(w, now);
        return "ok";
    }
    if (strcmp(word, "set") != 0) return "error no such command";
    while ((word = strtok(NULL, " "))) {
        char *equals = strchr(word, '=');
        if (!equals) return "error NAME=NUMBER";
        *equals = 0;
        double value = atof(equals + 1);
        if (strcmp(word, "rate_bps") == 0) w->rate_bps = value;
        else if (strcmp(word, "delay_ms") == 0) w->delay_ns = (uint64_t)(value * 1e6);
        else if (strcmp(word, "jitter_ms") == 0) w->jitter_ns = (uint64_t)(value * 1e6);
        else if (strcmp(word, "queue_bytes") == 0) w->queue_limit = (uint64_t)value;
        else if (strcmp(word, "loss") == 0) w->loss = value;
        else if (strcmp(word, "bursts") == 0) w->bursts = value != 0;
        else if (strcmp(word, "to_bad") == 0) w->to_bad = value;
        else if (strcmp(word, "to_good") == 0) w->to_good = value;
        else if (strcmp(word, "loss_good") == 0) w->loss_good = value;
        else if (strcmp(word, "loss_bad") == 0) w->loss_bad = value;
        else if (strcmp(word, "seed") == 0) w->random = (uint64_t)value * 0x9e3779b97f4a7c15u;
        else return "error no such setting";
    }
    return "ok";
}

static void set_address(int s, struct ifreq *r, unsigned long request, uint32_t address) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = address};
    memcpy(&r->ifr_addr, &a, sizeof a);
    if (ioctl(s, request, r) < 0) die("address of the device");
}

static void raise_device(int s, const char *name, short extra) {
    struct ifreq r = {0};
    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(s, SIOCGIFFLAGS, &r) < 0) die("flags");
    r.ifr_flags |= (short)(IFF_UP | extra);
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0) die("raise device");
}

/* A new namespace with loopback and one TUN device; returns its descriptor, fills in the device's. */
static int make_namespace(uint32_t own, uint32_t peer, int mtu, int *tun) {
    if (unshare(CLONE_NEWNET) < 0) die("new network namespace (root is needed)");
    int space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (space < 0 || s < 0 || *tun < 0) die("open /dev/net/tun");
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strcpy(r.ifr_name, "link0");
    if (ioctl(*tun, TUNSETIFF, &r) < 0) die("make the device");
    set_address(s, &r, SIOCSIFADDR, own);
    set_address(s, &r, SIOCSIFDSTADDR, peer);
    set_address(s, &r, SIOCSIFNETMASK, htonl(0xfffffffcu));
    r.ifr_mtu = mtu;
    if (ioctl(s, SIOCSIFMTU, &r) < 0) die("mtu");
    raise_device(s, "lo", 0);
    raise_device(s, "link0", IFF_MULTICAST);
    /* A default route, as on a real uplink: browsers choose their call's address by it. */
    struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = "link0"};
    ((struct sockaddr_in *)&route.rt_dst)->sin_family = AF_INET;
    ((struct sockaddr_in *)&route.rt_genmask)->sin_family = AF_INET;
    ((struct sockaddr_in *)&route.rt_gateway)->sin_family = AF_INET;
    if (ioctl(s, SIOCADDRT, &route) < 0) die("default route");
    close(s);
    return space;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: link LEFT_ADDRESS RIGHT_ADDRESS MTU\n");
        return 2;
    }
    uint32_t left = inet_addr(argv[1]), right = inet_addr(argv[2]);
    int left_tun, right_tun, mtu = atoi(argv[3]);
    int left_space = make_namespace(left, right, mtu, &left_tun);
    int right_space = make_namespace(right, left, mtu, &right_tun);
    ways[0] = (struct way){.name = "uplink", .in = left_tun, .out = right_tun, .peer = right};
    ways[1] = (struct way){.name = "downlink", .in = right_tun, .out = left_tun, .peer = left};
    for (int i = 0; i < 2; i++) {
        ways[i].rate_bps = -1;
        ways[i].queue_limit = 1 << 20;
        ways[i].clock = now_ns();
    }
    struct sched_param first = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_RR, &first) < 0) setpriority(PRIO_PROCESS, 0, -15);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("{\"left\":%d,\"right\":%d}\n", left_space, right_space);

    static char line[1 << 17];
    size_t filled = 0;
    for (;;) {
        uint64_t now = now_ns();
        follow_outages(now);
        uint64_t at = down_until ? down_until : NEVER;
        if (outage < outages && outage_from[outage] < at) at = outage_from[outage];
        for (int i = 0; i < 2; i++) {
            advance(&ways[i], now);
            deliver(&ways[i], now);
            uint64_t next = wake_at(&ways[i]);
            if (next < at) at = next;
        }
        struct pollfd polled[3] = {{left_tun, POLLIN, 0}, {right_tun, POLLIN, 0}, {0, POLLIN, 0}};
        uint64_t wait = at == NEVER ? 0 : at > now ? at - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
        if (ppoll(polled, 3, at == NEVER ? NULL : &timeout, NULL) < 0 && errno != EINTR) die("poll");
        follow_outages(now_ns());
        if (polled[0].revents) take_in(&ways[0]);
        if (polled[1].revents) take_in(&ways[1]);
        if (polled[2].revents) {
            ssize_t got = read(0, line + filled, sizeof line - 1 - filled);
            if (got <= 0) return 0;
            filled += (size_t)got;
            char *end;
            while ((end = memchr(line, '\n', filled))) {
                *end = 0;
                size_t used = (size_t)(end - line) + 1;
                const char *answer = command(line);
                if (answer) printf("%s\n", answer);
                memmove(line, line + used, filled - used);
                filled -= used;
            }
            if (filled == sizeof line - 1) return 1;
        }
    }
}
