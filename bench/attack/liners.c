/*
 * Honest clients on a listener with `framing=line`: each says a line at a fixed pace, whether it was answered or
 * not, and newcomers come, say one, hear it, and go. A line's time counts from when it was due, and what is still
 * waited for counts with its age: a gateway that stalls can't hide those that wait the longest.
 *
 * Prints one line of JSON once all of them have been answered, and then for each line on standard input what was
 * measured since the last one.
 */

#include "../c/hist.h"
#include "../c/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES = 64, EVENTS = 256, MOST_NEWCOMERS = 1024 };
enum { LINERS_NETWORK = 0x7f010001, NEWCOMERS_NETWORK = 0x7f020001, NEWCOMERS_ADDRESSES = 4096 };

static const uint64_t NEWCOMER_LIMIT_NS = 5000000000u, START_LIMIT_NS = 20000000000u;
static const uint64_t ASKED = UINT64_MAX;

/* A newcomer says one line, and is gone (`fd` -1) once it has heard it. */
struct liner {
  int fd;
  uint32_t number;
  /* When its first line was due, or when a newcomer dialled. */
  uint64_t begun_ns;
  uint64_t sent_bytes, heard_bytes;
};

static struct liner *liners, newcomers[MOST_NEWCOMERS];
static uint32_t liner_count;
static uint64_t pace_ns, newcomer_pace_ns, newcomer_due_ns, newcomer_number;
static uint16_t port;
static int epoll;

/* What was measured since it was last asked for. */
static struct hist answers, joins;
static uint64_t lost, wrong, served, missed, pause_ns, turned_at_ns;

static void write_line(uint8_t *line, uint32_t number, uint64_t count) {
  memset(line, 'a' + (int)(number % 26), LINE_BYTES);
  int head = snprintf((char *)line, LINE_BYTES, "%" PRIu32 " %" PRIu64 " ", number, count);
  line[head] = 'a';
  line[LINE_BYTES - 1] = '\n';
}

/* Not blocking; from an address of its own. */
static int dial(uint32_t address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  set_no_delay(fd);
  const int yes = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (const struct sockaddr *)&from, sizeof from) != 0) die("bind");
  if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) die("connect");
  return fd;
}

/* With a reset, so that nothing is left of a newcomer that could be taken for somebody else. */
static void hang_up(struct liner *liner) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(liner->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(liner->fd);
  liner->fd = -1;
}

/* Sends what is due and not sent, as far as the kernel takes it; the rest is tried again at the next turn. */
static void say(struct liner *liner, uint64_t lines_due) {
  while (liner->sent_bytes < lines_due * LINE_BYTES) {
    uint8_t line[LINE_BYTES];
    write_line(line, liner->number, liner->sent_bytes / LINE_BYTES);
    size_t from = liner->sent_bytes % LINE_BYTES;
    ssize_t bytes = send(liner->fd, line + from, LINE_BYTES - from, MSG_NOSIGNAL);
    if (bytes <= 0) return;
    liner->sent_bytes += (uint64_t)bytes;
  }
}

static uint64_t lines_due(const struct liner *liner, uint64_t now) {
  return now < liner->begun_ns ? 0 : (now - liner->begun_ns) / pace_ns + 1;
}

/* Reads, and compares with what was said. Gives whether the connection is still there. */
static bool hear(struct liner *liner) {
  uint8_t bytes[4096];
  ssize_t length = recv(liner->fd, bytes, sizeof bytes, 0);
  if (length < 0 && errno == EAGAIN) return true;
  if (length <= 0) return false;
  for (ssize_t i = 0; i < length;) {
    uint8_t line[LINE_BYTES];
    write_line(line, liner->number, liner->heard_bytes / LINE_BYTES);
    size_t from = liner->heard_bytes % LINE_BYTES, part = LINE_BYTES - from;
    if (part > (size_t)(length - i)) part = (size_t)(length - i);
    if (memcmp(bytes + i, line + from, part) != 0) wrong++;
    liner->heard_bytes += part;
    i += (ssize_t)part;
  }
  return true;
}

static void on_liner(struct liner *liner) {
  uint64_t heard = liner->heard_bytes / LINE_BYTES;
  if (!hear(liner)) {
    lost++;
    hang_up(liner);
    return;
  }
  uint64_t now = now_ns();
  for (; heard < liner->heard_bytes / LINE_BYTES; heard++) hist_add(&answers, now - (liner->begun_ns + heard * pace_ns));
}

static void on_newcomer(struct liner *newcomer, uint32_t events) {
  if ((events & EPOLLOUT) != 0 && newcomer->sent_bytes == 0) {
    say(newcomer, 1);
    watch_again(epoll, newcomer->fd, EPOLLIN, liner_count + (uint64_t)(newcomer - newcomers));
  }
  bool there = hear(newcomer);
  if (there && newcomer->heard_bytes < LINE_BYTES) return;
  if (there) served++;
  else missed++;
  hist_add(&joins, now_ns() - newcomer->begun_ns);
  hang_up(newcomer);
}

static void walk_newcomers(uint64_t now) {
  struct liner *unused = NULL;
  for (uint32_t i = 0; i < MOST_NEWCOMERS; i++) {
    struct liner *newcomer = &newcomers[i];
    if (newcomer->fd < 0) {
      unused = newcomer;
    } else if (now - newcomer->begun_ns > NEWCOMER_LIMIT_NS) {
      missed++;
      hist_add(&joins, now - newcomer->begun_ns);
      hang_up(newcomer);
      unused = newcomer;
    }
  }
  if (unused == NULL || newcomer_pace_ns == 0 || now < newcomer_due_ns) return;
  newcomer_due_ns += newcomer_pace_ns;
  uint32_t number = (uint32_t)(newcomer_number++);
  *unused = (struct liner){.fd = dial(NEWCOMERS_NETWORK + number % NEWCOMERS_ADDRESSES),
                           .number = liner_count + number,
                           .begun_ns = now};
  watch(epoll, unused->fd, EPOLLOUT | EPOLLIN, liner_count + (uint64_t)(unused - newcomers));
}

static void print_figures(const struct hist *hist, const char *name) {
  printf("\"%s\":{\"count\":%" PRIu64 ",\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"maxMs\":%.3f},", name, hist->count,
         (double)hist_percentile(hist, 0.5) / 1e6, (double)hist_percentile(hist, 0.99) / 1e6,
         (double)hist->max / 1e6);
}

static void report(uint64_t now) {
  uint64_t waiting = 0;
  for (uint32_t i = 0; i < liner_count; i++) {
    if (liners[i].fd < 0) continue;
    uint64_t due = lines_due(&liners[i], now);
    for (uint64_t heard = liners[i].heard_bytes / LINE_BYTES; heard < due; heard++, waiting++)
      hist_add(&answers, now - (liners[i].begun_ns + heard * pace_ns));
  }
  for (uint32_t i = 0; i < MOST_NEWCOMERS; i++)
    if (newcomers[i].fd >= 0) hist_add(&joins, now - newcomers[i].begun_ns);
  printf("{");
  print_figures(&answers, "lines");
  print_figures(&joins, "joins");
  printf("\"waiting\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"lost\":%" PRIu64
         ",\"served\":%" PRIu64 ",\"missed\":%" PRIu64 ",\"pauseMs\":%.3f}\n",
         waiting, wrong, lost, served, missed, (double)pause_ns / 1e6);
  fflush(stdout);
  memset(&answers, 0, sizeof answers);
  memset(&joins, 0, sizeof joins);
  lost = wrong = served = missed = pause_ns = 0;
}

static bool all_answered(void) {
  for (uint32_t i = 0; i < liner_count; i++)
    if (liners[i].fd >= 0 && liners[i].heard_bytes < LINE_BYTES) return false;
  return true;
}

/* One turn of the loop; gives whether a report was asked for. */
static bool turn(void) {
  struct epoll_event events[EVENTS];
  bool asked = false;
  int count = epoll_wait(epoll, events, EVENTS, 1);
  for (int i = 0; i < count; i++) {
    uint64_t tag = events[i].data.u64;
    if (tag == ASKED) {
      if (asked_on_stdin()) asked = true;
    } else if (tag < liner_count) {
      if (liners[tag].fd >= 0) on_liner(&liners[tag]);
    } else if (newcomers[tag - liner_count].fd >= 0) {
      on_newcomer(&newcomers[tag - liner_count], events[i].events);
    }
  }
  uint64_t now = now_ns();
  if (turned_at_ns != 0 && now - turned_at_ns > pause_ns) pause_ns = now - turned_at_ns;
  turned_at_ns = now;
  for (uint32_t i = 0; i < liner_count; i++)
    if (liners[i].fd >= 0) say(&liners[i], lines_due(&liners[i], now));
  return asked;
}

static void connect_all(void) {
  uint64_t begun = now_ns();
  for (uint32_t i = 0; i < liner_count; i++) {
    liners[i] = (struct liner){.fd = dial(LINERS_NETWORK + i), .number = i};
    /* In turn, so that the lines of all are spread evenly. */
    liners[i].begun_ns = begun + i * pace_ns / liner_count;
    watch(epoll, liners[i].fd, EPOLLIN, i);
  }
  while (!all_answered()) {
    turn();
    errno = 0;
    if (lost > 0 || now_ns() - begun > START_LIMIT_NS) die("the honest clients were not let in");
  }
}

int main(int argc, char **argv) {
  raise_descriptor_limit();
  prctl(PR_SET_TIMERSLACK, 1ul);
  port = (uint16_t)number_option(argc, argv, "port", 0);
  liner_count = (uint32_t)number_option(argc, argv, "clients", 100);
  pace_ns = number_option(argc, argv, "pace-ms", 100) * 1000000;
  newcomer_pace_ns = number_option(argc, argv, "newcomer-ms", 100) * 1000000;
  liners = allocate(liner_count, sizeof *liners);
  for (uint32_t i = 0; i < MOST_NEWCOMERS; i++) newcomers[i].fd = -1;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  set_not_blocking(STDIN_FILENO);
  watch(epoll, STDIN_FILENO, EPOLLIN, ASKED);
  connect_all();
  puts("{\"event\":\"ready\"}");
  fflush(stdout);
  newcomer_due_ns = now_ns();
  for (;;) {
    bool asked = turn();
    uint64_t now = now_ns();
    walk_newcomers(now);
    if (asked) report(now);
  }
}
