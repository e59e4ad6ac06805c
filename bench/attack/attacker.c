/*
 * The attacker: many connections from many loopback addresses, each of which says what it was told to and then
 * drips, floods, stays silent or goes. It ends by itself, or when it is told a line on its standard input, and prints
 * what it achieved as one line of JSON. When its standard input is closed it ends too.
 */

#include "spec.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, STARTS_A_TURN = 64, SINK_BYTES = 65536 };
/* All of them are looked at this often, and when they are few more often. */
enum { WALK_MS = 5, FEW = 500, WALK_FEW_MS = 1 };

struct client {
  int fd;
  int connected;
  struct target *target;
  size_t hello_sent;
  size_t tail_sent;
  double leaves_at;
  double drips_at;
};

static struct spec spec;
static struct client *clients;
static int *unused;
static long unused_count;
static long open_most;
static int poller;
static uint8_t sink[SINK_BYTES];

static double now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static void watch(struct client *client, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)(client - clients)};
  epoll_ctl(poller, operation, client->fd, &event);
}

static uint32_t wanted(const struct client *client) {
  const struct target *target = client->target;
  uint32_t events = EPOLLRDHUP;
  if (target->reads) events |= EPOLLIN;
  int floods = target->tail_bytes > 0 && target->every_ms == 0;
  if (!client->connected || client->hello_sent < target->hello_bytes || floods) events |= EPOLLOUT;
  return events;
}

static void hang_up(struct client *client) {
  close(client->fd);
  client->fd = -1;
  unused[unused_count++] = (int)(client - clients);
}

/* Ends a connection with a reset, so that its port is free again at once. */
static void discard(struct client *client) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  hang_up(client);
}

static int dial(const struct target *target) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int yes = 1;
  /* The port is chosen by connect, which knows which ones are free for this very destination. */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  /* Each drip is to be a segment, and a read of the gateway's. */
  if (target->every_ms > 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (target->receive_buffer > 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &target->receive_buffer, sizeof target->receive_buffer);
  const struct sockaddr_in from = {
      .sin_family = AF_INET,
      .sin_addr.s_addr = htonl(target->first_address + (uint32_t)(target->started % target->addresses)),
  };
  if (bind(fd, (const struct sockaddr *)&from, sizeof from) == 0 &&
      (connect(fd, (const struct sockaddr *)&target->to, sizeof target->to) == 0 || errno == EINPROGRESS))
    return fd;
  close(fd);
  return -1;
}

static void start(struct target *target) {
  int fd = dial(target);
  target->started++;
  if (fd < 0) {
    target->failed++;
    return;
  }
  struct client *client = &clients[unused[--unused_count]];
  *client = (struct client){.fd = fd, .target = target};
  client->leaves_at = -1;
  long open = spec.clients - unused_count;
  if (open > open_most) open_most = open;
  watch(client, EPOLL_CTL_ADD, wanted(client));
}

/* Gives whether the connection is still there. */
static int sent(struct client *client, ssize_t bytes) {
  if (bytes >= 0) {
    client->target->sent_bytes += (uint64_t)bytes;
    return 1;
  }
  if (errno == EAGAIN) return 1;
  client->target->reset_by_peer++;
  discard(client);
  return 0;
}

static void on_connected(struct client *client) {
  const struct target *target = client->target;
  double now = now_ms();
  client->connected = 1;
  client->target->connected++;
  if (target->hold_ms >= 0) client->leaves_at = now + (double)target->hold_ms;
  /* Each at a time of its own, so that a read of the gateway's has one drip of one client. */
  double place = (double)(client - clients) / (double)spec.clients;
  client->drips_at = now + (double)target->every_ms * (1 + place);
}

/* Sends what is left of the greeting, and then, if it floods, a piece of the flood. */
static int speak(struct client *client) {
  const struct target *target = client->target;
  if (client->hello_sent < target->hello_bytes) {
    size_t left = target->hello_bytes - client->hello_sent;
    ssize_t bytes = send(client->fd, target->hello + client->hello_sent, left, MSG_NOSIGNAL);
    if (!sent(client, bytes)) return 0;
    if (bytes > 0) client->hello_sent += (size_t)bytes;
    if (client->hello_sent < target->hello_bytes) return 1;
  }
  if (target->finishes) shutdown(client->fd, SHUT_WR);
  if (target->tail_bytes == 0 || target->every_ms > 0) return 1;
  size_t from = client->tail_sent % target->tail_bytes;
  ssize_t bytes = send(client->fd, target->tail + from, target->tail_bytes - from, MSG_NOSIGNAL);
  if (!sent(client, bytes)) return 0;
  if (bytes > 0) client->tail_sent += (size_t)bytes;
  return 1;
}

static void listen_to(struct client *client) {
  ssize_t bytes = recv(client->fd, sink, sizeof sink, 0);
  if (bytes > 0) {
    client->target->received_bytes += (uint64_t)bytes;
  } else if (bytes == 0) {
    client->target->finished_by_peer++;
    discard(client);
  } else if (errno != EAGAIN) {
    client->target->reset_by_peer++;
    discard(client);
  }
}

static void on_event(struct client *client, uint32_t events) {
  if (client->fd < 0) return;
  if (!client->connected) {
    if (events & (EPOLLERR | EPOLLHUP)) {
      client->target->failed++;
      discard(client);
      return;
    }
    on_connected(client);
    if (!speak(client)) return;
    watch(client, EPOLL_CTL_MOD, wanted(client));
    return;
  }
  if (events & EPOLLERR) {
    client->target->reset_by_peer++;
    discard(client);
    return;
  }
  if (events & EPOLLIN) {
    listen_to(client);
  } else if (events & (EPOLLHUP | EPOLLRDHUP)) {
    client->target->finished_by_peer++;
    discard(client);
  }
  /* Who floods and is answered has both to do each time. */
  if (client->fd >= 0 && events & EPOLLOUT && speak(client)) watch(client, EPOLL_CTL_MOD, wanted(client));
}

static void drip(struct client *client, double now) {
  const struct target *target = client->target;
  if (target->tail_bytes == 0 || target->every_ms == 0 || now < client->drips_at) return;
  while (client->drips_at <= now) client->drips_at += (double)target->every_ms;
  size_t from = client->tail_sent % target->tail_bytes;
  size_t left = target->tail_bytes - from;
  ssize_t bytes =
      send(client->fd, target->tail + from, left < target->drip_bytes ? left : target->drip_bytes, MSG_NOSIGNAL);
  if (sent(client, bytes) && bytes > 0) client->tail_sent += (size_t)bytes;
}

static void walk(double now) {
  for (long i = 0; i < spec.clients; i++) {
    struct client *client = &clients[i];
    if (client->fd < 0 || !client->connected) continue;
    if (client->leaves_at >= 0 && now >= client->leaves_at) {
      client->target->left++;
      if (client->target->closes) hang_up(client);
      else discard(client);
    } else {
      drip(client, now);
    }
  }
}

/* Starts those who are due, but not so many at once that nobody else has a turn. */
static void start_due(double elapsed_ms, uint64_t *started) {
  for (int i = 0; i < STARTS_A_TURN && unused_count > 0; i++) {
    if (spec.total > 0 && *started >= (uint64_t)spec.total) return;
    if (spec.rate > 0 && (double)*started >= elapsed_ms / 1e3 * spec.rate) return;
    start(&spec.targets[*started % (uint64_t)spec.target_count]);
    ++*started;
  }
}

static void print_count(const char *name, uint64_t count) {
  printf(",\"%s\":%" PRIu64, name, count);
}

static void report(double elapsed_ms) {
  printf("{\"seconds\":%.3f,\"openMost\":%ld,\"targets\":[", elapsed_ms / 1e3, open_most);
  for (int i = 0; i < spec.target_count; i++) {
    const struct target *t = &spec.targets[i];
    printf("%s{\"name\":\"%s\"", i == 0 ? "" : ",", t->name);
    print_count("started", t->started);
    print_count("connected", t->connected);
    print_count("failed", t->failed);
    print_count("finishedByPeer", t->finished_by_peer);
    print_count("resetByPeer", t->reset_by_peer);
    print_count("left", t->left);
    print_count("sentBytes", t->sent_bytes);
    print_count("receivedBytes", t->received_bytes);
    printf("}");
  }
  printf("]}\n");
}

static void prepare(void) {
  clients = calloc((size_t)spec.clients, sizeof *clients);
  unused = calloc((size_t)spec.clients, sizeof *unused);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (clients == NULL || unused == NULL || poller < 0) {
    perror("attacker");
    exit(1);
  }
  for (long i = 0; i < spec.clients; i++) {
    clients[i].fd = -1;
    unused[unused_count++] = (int)i;
  }
  struct epoll_event told = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = UINT64_MAX};
  epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &told);
}

static int is_over(double elapsed_ms, uint64_t started) {
  if (elapsed_ms >= spec.seconds * 1e3) return 1;
  return spec.total > 0 && started >= (uint64_t)spec.total && unused_count == spec.clients;
}

/* Gives whether it is told to end; without whoever started it, it ends at once. */
static int told_to_end(void) {
  char text[64];
  ssize_t bytes = read(STDIN_FILENO, text, sizeof text);
  if (bytes <= 0) exit(1);
  return memchr(text, '\n', (size_t)bytes) != NULL;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: attacker SPEC\n");
    return 2;
  }
  read_spec(&spec, argv[1]);
  prepare();
  uint64_t started = 0;
  struct epoll_event events[EVENTS];
  const double begun = now_ms();
  double walked = begun;
  double now = begun;
  int told = 0;
  while (!told && !is_over(now - begun, started)) {
    start_due(now - begun, &started);
    int count = epoll_wait(poller, events, EVENTS, 1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == UINT64_MAX) told = told_to_end();
      else on_event(&clients[events[i].data.u64], events[i].events);
    }
    now = now_ms();
    if (now - walked < (spec.clients > FEW ? WALK_MS : WALK_FEW_MS)) continue;
    walk(now);
    walked = now;
  }
  report(now - begun);
  return 0;
}
