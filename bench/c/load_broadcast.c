/*
 * Broadcasts: the first client orders them from the manager, by a byte that says how long they are, and everybody
 * counts. A window of them is under way; the next one is ordered once everybody has one.
 */

#include <errno.h>
#include <string.h>

#include "load.h"
#include "util.h"

enum { RING = 64 };

/* By broadcast: how many clients have it, and when it was ordered. */
static uint32_t arrived[RING];
static uint64_t ordered_ns[RING], ordered;

static uint32_t ring(const struct load *load)
{
	(void)load;
	return 1;
}

static void order(struct load *load, uint32_t count)
{
	uint8_t bits = (uint8_t)__builtin_ctz(load->clients.message_bytes);
	uint8_t orders[RING];
	memset(orders, bits, count);
	for (uint32_t i = 0; i < count; i++) {
		arrived[ordered % RING] = 0;
		ordered_ns[ordered++ % RING] = now_ns();
	}
	load->under_way += count;
	client_send_raw(&load->clients, &load->all[0], orders, count);
}

static void start(struct load *load)
{
	uint32_t size = load->clients.message_bytes;
	errno = 0;
	if ((size & (size - 1)) != 0) die("the size of broadcasts must be a power of two");
	if (load->window > RING) die("at most %d broadcasts can be under way", RING);
	order(load, load->window);
}

static void received(struct load *load, struct client *client, uint64_t completed)
{
	uint64_t now = now_ns();
	uint32_t whole = 0;
	for (uint64_t k = client->received - completed; k < client->received; k++) {
		if (++arrived[k % RING] == load->count) whole++;
		if (load->phase == PHASE_MEASURE) hist_add(&load->latency, now - ordered_ns[k % RING]);
	}
	if (load->phase == PHASE_MEASURE) load->completed += completed;
	load->under_way -= whole;
	if (whole > 0 && load->phase != PHASE_DRAIN) order(load, whole);
}

const struct mode mode_broadcast = {.name = "broadcast",
                                    .expectation = EXPECT_BROADCAST,
                                    .ring = ring,
                                    .start = start,
                                    .received = received};
