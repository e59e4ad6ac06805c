/*
 * The load's program: connects its clients, has them do what the mode says, warms up, measures, waits for every
 * answer that is still owed, and prints one line of JSON. Anything that goes wrong ends it with status 1.
 */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "util.h"

enum { MAX_EVENTS = 512, MAX_PORTS = 64, CONNECTING = 128 };

static const uint64_t CONNECT_LIMIT_NS = 60000000000u, DRAIN_LIMIT_NS = 10000000000u;
/*
 * A core that sleeps takes tens of microseconds to wake up. With something due this soon the load stays awake,
 * and gives way to the others on its core at every turn.
 */
static const uint64_t SPIN_NS = 200000;
static const uint64_t ASKED = UINT64_MAX;

static const struct mode *const modes[] = {&mode_pingpong, &mode_open, &mode_broadcast, &mode_idle, &mode_churn};

static struct load load;
static const struct mode *mode;
static uint16_t ports[MAX_PORTS];
static unsigned port_count, port_next;
static struct watched watched;
static struct sample before, begin, end;
static uint64_t warm_up_ns, measure_ns, phase_end_ns, begun_ns, connect_ns;
static uint32_t dialled, opened;

uint16_t load_next_port(void)
{
	return ports[port_next++ % port_count];
}

static void read_ports(const char *text)
{
	while (*text != '\0') {
		char *rest;
		unsigned long port = strtoul(text, &rest, 10);
		errno = 0;
		if (rest == text || port == 0 || port > UINT16_MAX || port_count == MAX_PORTS) die("--ports: '%s'", text);
		ports[port_count++] = (uint16_t)port;
		text = *rest == ',' ? rest + 1 : rest;
	}
	if (port_count == 0) die("--ports is missing");
}

static enum scheme read_scheme(const char *text)
{
	errno = 0;
	if (strcmp(text, "tcp") == 0) return SCHEME_TCP;
	if (strcmp(text, "tls") == 0) return SCHEME_TLS;
	if (strcmp(text, "ws") == 0) return SCHEME_WS;
	die("--scheme must be tcp, tls or ws, not '%s'", text);
}

static const struct mode *read_mode(const char *text)
{
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
		if (strcmp(modes[i]->name, text) == 0) return modes[i];
	errno = 0;
	die("--mode: '%s' is not known", text);
}

static void dial_some(void)
{
	while (dialled < load.count && dialled - opened < CONNECTING)
		client_connect(&load.clients, &load.all[dialled++], load_next_port());
}

static void enter_phase(enum phase phase, uint64_t now)
{
	load.phase = phase;
	if (phase == PHASE_WARM_UP) {
		connect_ns = now - begun_ns;
		phase_end_ns = now + warm_up_ns;
		mode->start(&load);
	} else if (phase == PHASE_MEASURE) {
		sample_take(&begin, &watched);
		load.measure_begin_ns = begin.at_ns;
		load.measure_end_ns = phase_end_ns = begin.at_ns + measure_ns;
	} else if (phase == PHASE_DRAIN) {
		sample_take(&end, &watched);
		phase_end_ns = now + DRAIN_LIMIT_NS;
	}
}

static void phase_over(uint64_t now)
{
	errno = 0;
	if (load.phase == PHASE_CONNECT) die("only %u of %u clients could connect", opened, load.count);
	if (load.phase == PHASE_DRAIN) die("%" PRIu64 " answers did not come", load.under_way);
	enter_phase(load.phase + 1, now);
}

/* Its visit begins with its connecting, for who comes and goes; for others the greeting is a message of its own. */
static void greet(struct client *client)
{
	bool counts = load.clients.expectation == EXPECT_ECHO && !mode->comes_and_goes;
	if (counts) client->due++;
	client_greet(&load.clients, client);
}

static void client_opened(void)
{
	opened++;
	if (opened == load.count) enter_phase(PHASE_WARM_UP, now_ns());
	else dial_some();
}

static void handle(const struct epoll_event *event)
{
	if (event->data.u64 == ASKED) {
		asked_on_stdin();
		return;
	}
	struct client *client = &load.all[event->data.u64];
	if (client->state == CLIENT_CLOSED) return;
	if (client->state < CLIENT_GREETING) {
		if (client_advance(&load.clients, client)) greet(client);
		return;
	}
	if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
		bool greeting = client->state == CLIENT_GREETING;
		uint64_t completed = client_receive(&load.clients, client);
		if (!greeting || mode->comes_and_goes) {
			if (completed > 0) mode->received(&load, client, completed);
		} else if (client->state == CLIENT_OPEN) {
			client_opened();
		}
	}
	if ((event->events & EPOLLOUT) != 0 && client->state >= CLIENT_GREETING) client_send(&load.clients, client);
}

static void turn(void)
{
	struct epoll_event events[MAX_EVENTS];
	uint64_t now = now_ns(), due = UINT64_MAX;
	bool running = load.phase == PHASE_WARM_UP || load.phase == PHASE_MEASURE;
	if (mode->tick != NULL && running) due = mode->tick(&load, now);
	if (due > phase_end_ns) due = phase_end_ns;
	now = now_ns();
	uint64_t wait = due > now ? due - now : 0;
	bool spin = mode->tick != NULL && wait < SPIN_NS;
	if (spin) {
		sched_yield();
		wait = 0;
	}
	struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
	int count = epoll_pwait2(load.clients.epoll, events, MAX_EVENTS, &timeout, NULL);
	if (count < 0 && errno != EINTR) die("epoll_pwait2");
	for (int i = 0; i < count; i++) handle(&events[i]);
	if (load.phase == PHASE_DRAIN && load.under_way == 0) load.phase = PHASE_DONE;
	else if ((now = now_ns()) >= phase_end_ns) phase_over(now);
}

static void print_result(void)
{
	printf("{\"mode\":\"%s\",\"clients\":%u,\"size\":%u,\"window\":%u,", mode->name, load.count,
	       load.clients.message_bytes, load.window);
	printf("\"seconds\":%.6f,\"completed\":%" PRIu64 ",", (double)(end.at_ns - begin.at_ns) / 1e9, load.completed);
	printf("\"bytesSent\":%" PRIu64 ",\"bytesReceived\":%" PRIu64 ",", load.clients.bytes_sent,
	       load.clients.bytes_received);
	printf("\"connectMs\":%.1f,", (double)connect_ns / 1e6);
	hist_print(&load.latency, "latencyUs");
	hist_print(&load.lateness, "latenessUs");
	sample_print(&watched, &before, &begin, &end);
	printf("\"ok\":true}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	raise_descriptor_limit();
	prctl(PR_SET_TIMERSLACK, 1ul);
	mode = read_mode(option(argc, argv, "mode", "pingpong"));
	read_ports(option(argc, argv, "ports", ""));
	watched = watched_from(option(argc, argv, "watch", ""));
	warm_up_ns = number_option(argc, argv, "warm-up-ms", 500) * 1000000;
	measure_ns = number_option(argc, argv, "measure-ms", 2000) * 1000000;
	load.window = (uint32_t)number_option(argc, argv, "window", 1);
	load.rate = number_option(argc, argv, "rate", 0);
	load.count = (uint32_t)number_option(argc, argv, "clients", 100);
	errno = 0;
	if (load.count == 0 || load.window == 0) die("--clients and --window must be at least 1");
	load.clients = (struct clients){
		.scheme = read_scheme(option(argc, argv, "scheme", "tcp")),
		.expectation = mode->expectation,
		.message_bytes = (uint32_t)number_option(argc, argv, "size", 64),
		.ring = mode->ring(&load),
		.epoll = epoll_create1(EPOLL_CLOEXEC),
	};
	clients_prepare(&load.clients);
	load.all = allocate(load.count, sizeof *load.all);
	for (uint32_t i = 0; i < load.count; i++) load.all[i].index = i;
	set_not_blocking(STDIN_FILENO);
	watch(load.clients.epoll, STDIN_FILENO, EPOLLIN, ASKED);

	sample_take(&before, &watched);
	begun_ns = before.at_ns;
	phase_end_ns = begun_ns + CONNECT_LIMIT_NS;
	if (mode->comes_and_goes) enter_phase(PHASE_WARM_UP, begun_ns);
	else dial_some();
	while (load.phase != PHASE_DONE) turn();
	print_result();
	for (uint32_t i = 0; i < load.count; i++) client_close(&load.all[i], true);
}
