/* Closed loop: each client has a window of messages under way, and sends the next one for each that came back. */

#include "load.h"
#include "util.h"

static uint32_t ring(const struct load *load)
{
	uint32_t size = 1;
	while (size < load->window) size *= 2;
	return size;
}

static void start(struct load *load)
{
	for (uint32_t i = 0; i < load->count; i++) {
		struct client *client = &load->all[i];
		uint64_t now = now_ns();
		for (uint32_t k = 0; k < load->window; k++) load_owe(load, client, now);
		client_send(&load->clients, client);
	}
}

static void received(struct load *load, struct client *client, uint64_t completed)
{
	uint64_t now = now_ns();
	uint64_t first = client->received - completed;
	load->under_way -= completed;
	if (load->phase == PHASE_MEASURE) {
		load->completed += completed;
		for (uint64_t k = first; k < client->received; k++)
			hist_add(&load->latency, now - client->sent_at_ns[k & (load->clients.ring - 1)]);
	}
	if (load->phase == PHASE_DRAIN) return;
	for (uint64_t k = 0; k < completed; k++) load_owe(load, client, now);
	client_send(&load->clients, client);
}

const struct mode mode_pingpong = {
	.name = "pingpong", .expectation = EXPECT_ECHO, .ring = ring, .start = start, .received = received};
