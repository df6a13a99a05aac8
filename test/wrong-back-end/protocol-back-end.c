/*
 * A vhost-user block back-end with one bug of the protocol: `protocol-back-end SOCKET BUG`.
 * Split and packed rings, in-flight memory, memory slots, status, resets, a device IOTLB, a dirty log; one connection after the other; a disk that
 * answers OK to everything. Without a bug (`none`) it is right, and closes the connection of a front-end that is not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { QUEUES = 2, SLOTS = 16, MAX_FDS = 16, CONFIG_BYTES = 60, MOST_BYTES = 4096, SEGMENTS = 64 };
enum { MQ, LOG, REPLY_ACK = 3, BACKEND_REQ = 5, CONFIG = 9, INFLIGHT = 12, RESET, INBAND, MEM_SLOTS, STATUS };
enum { F_NEXT = 1, F_WRITE = 2, P_AVAIL = 1 << 7, P_USED = 1 << 15 };
#define BIT(n) (1ull << (n))
static const uint64_t FEATURES = BIT(32) | BIT(30) | BIT(33) | BIT(34) | BIT(26) |
                                 BIT(9) | BIT(6);
static const uint64_t PROTOCOL = BIT(MQ) | BIT(LOG) | BIT(REPLY_ACK) | BIT(BACKEND_REQ) | BIT(CONFIG) | BIT(INFLIGHT) |
                                 BIT(RESET) | BIT(INBAND) | BIT(MEM_SLOTS) | BIT(STATUS);

struct region { uint64_t guest, size, user, offset; };
struct mapped { struct region at; uint8_t *bytes; };
struct header { uint32_t request, flags, size; };
struct queue {
  uint32_t size, base;
  uint64_t descriptors, used, available;
  int kick, call, error, is_polled, is_enabled, is_started, was_kicked, has_addresses, has_num, kicks_in_vain;
  uint16_t avail, used_index, avail_wrap, used_wrap;
  int is_recovered, logs_used;
  uint64_t used_in_log;
};
static const struct queue FRESH = {.kick = -1, .call = -1, .error = -1, .avail_wrap = 1, .used_wrap = 1};

static const char *bug;
/* Of a connection. */
static struct queue queues[QUEUES];
static struct mapped regions[SLOTS], before;
static int region_count, peer = -1, messages, has_owner, has_table;
static uint64_t features, protocol, status;
static uint8_t *inflight;
static uint64_t inflight_bytes;
static unsigned served, stops;
static int was_late;
/* Of the program. */
static uint8_t config[CONFIG_BYTES];
static int connections, always_acknowledges;

static int is(const char *name) { return strcmp(bug, name) == 0; }

/* What a back-end with this bug does not check. */
static int wrong(const char *name) {
  if (is(name)) abort();
  return -1;
}

static int about(const char *what, uint32_t request) {
  char name[64];
  snprintf(name, sizeof name, "%s-%u", what, request);
  return is(name);
}

static void shut(int *file) {
  if (*file >= 0) close(*file);
  *file = -1;
}

#include "dirty-log.h"

static void unmap(struct mapped *m) {
  if (m->bytes != NULL) munmap(m->bytes - m->at.offset, m->at.size + m->at.offset);
  m->bytes = NULL;
}

/* `length` bytes at an address, in one region; NULL where there are none. */
static uint8_t *find(uint64_t address, uint64_t length, int is_user) {
  int count = is("looks-in-the-first-region-only") && region_count > 1 ? 1 : region_count;
  if (is("keeps-memory-that-was-taken") && before.bytes != NULL && !is_user && address >= before.at.guest &&
      address - before.at.guest < before.at.size && length <= before.at.size)
    return before.bytes + (address - before.at.guest);
  if (is("takes-one-difference-for-all") && is_user && region_count > 0) {
    const struct region *last = &regions[region_count - 1].at;
    address = address - last->user + last->guest;
    is_user = 0;
  }
  for (int i = 0; i < count; i++) {
    const struct region *r = &regions[i].at;
    uint64_t start = is_user ? r->user : is("cuts-addresses-to-32-bits") ? (uint32_t)r->guest : r->guest;
    if (is("looks-in-order") && i > 0 && r->guest < regions[i - 1].at.guest) break;
    if (address < start || address - start >= r->size) continue;
    if (length > r->size - (address - start)) {
      if (is_user) wrong("area-leaves-its-region");
      continue;
    }
    return regions[i].bytes + (address - start) - (is("ignores-the-offset-of-a-region") ? r->offset : 0);
  }
  return NULL;
}

#include "device-iotlb.h"

static int map(struct mapped *m, const struct region *r, int file) {
  struct stat s;
  if (r->size == 0) return wrong("region-of-0");
  if (r->size > BIT(40) || r->offset > BIT(40)) return wrong("region-too-long");
  if (r->guest + r->size < r->guest || r->user + r->size < r->user) return wrong("region-wraps");
  if (fstat(file, &s) < 0 || !S_ISREG(s.st_mode)) return wrong("region-of-no-file");
  if ((uint64_t)s.st_size < r->offset + r->size) return wrong("region-behind-its-file");
  if ((fcntl(file, F_GETFL) & O_ACCMODE) != O_RDWR) return wrong("region-read-only");
  uint8_t *bytes = mmap(NULL, r->size + r->offset, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (bytes == MAP_FAILED) return -1;
  *m = (struct mapped){*r, bytes + r->offset};
  return 0;
}

static void forget(void) {
  for (int i = 0; i < QUEUES; i++) {
    if (is("never-closes-a-descriptor")) queues[i].kick = queues[i].error = -1;
    shut(&queues[i].kick);
    shut(&queues[i].call);
    shut(&queues[i].error);
    queues[i] = FRESH;
  }
  for (int i = 0; i < region_count; i++) unmap(&regions[i]);
  unmap(&before);
  if (inflight != NULL) munmap(inflight, inflight_bytes);
  inflight = NULL;
  forget_log();
  forget_iotlb();
  region_count = messages = has_owner = has_table = 0;
  features = protocol = status = 0;
  served = stops = was_late = 0;
}

static int send_all(const void *bytes, size_t length, int file) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {(void *)bytes, length};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
  if (file >= 0) {
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &file, sizeof file);
  }
  if (!is("dies-of-a-closed-connection")) return sendmsg(peer, &m, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
  // Long enough that a front-end that does not wait for the answer has closed.
  usleep(5000);
  return sendmsg(peer, &m, 0) == (ssize_t)length ? 0 : -1;
}

static int answer(uint32_t request, const void *payload, uint32_t size, int file) {
  uint8_t bytes[sizeof(struct header) + MOST_BYTES];
  struct header h = {request, is("answers-without-the-flag") ? 1 : is("answers-in-version-0") ? 4 : 5, size};
  memcpy(bytes, &h, sizeof h);
  memcpy(bytes + sizeof h, payload, size);
  return send_all(bytes, sizeof h + size, file);
}

static int answer_u64(uint32_t request, uint64_t value) {
  return answer(request, &value, is("answers-with-4-bytes") ? 4 : 8, -1);
}

static void notify(struct queue *q) {
  uint64_t one = 1;
  if (is("never-notifies")) return;
  if (q->call < 0) wrong("needs-a-call-descriptor");
  else if (write(q->call, &one, sizeof one) < 0 && errno != EAGAIN) wrong("call-cannot-be-written");
}

/* Writes to all of what a segment has for the device; the last byte is OK. Returns 1, or -1. */
static int complete(uint64_t address, uint32_t length, int is_last) {
  if (is("copies-at-most-65535-bytes")) {
    uint8_t *copy = malloc(65535);
    copy[length > 0 ? length - 1 : 0] = 0;
    free(copy);
  }
  for (uint64_t done = 0, part; done < length; done += part) {
    part = length - done;
    uint8_t *bytes = reach(address + done, &part, WRITES);
    if (bytes == NULL) return -1;
    memset(bytes, 0, part);
  }
  if (!is("log-no-data") && (is_last || !is("log-last-segment-only"))) mark(address, length);
  return 1;
}

/* Whether a segment can be served: 1, 0 where it is asked for, -1 where it is nowhere. */
static int check_segment(uint64_t address, uint32_t length, uint16_t flags) {
  if (!translates() && !(flags & F_WRITE)) return 1;
  return is_there(address, length, flags & F_WRITE ? WRITES : READS);
}

/* Where the used ring is in the log, and that `length` bytes at an offset in it were written. */
static void mark_used(const struct queue *q, uint64_t offset, uint64_t length) {
  if (is("log-no-used-ring") || (!q->logs_used && !is("log-used-ring-always"))) return;
  uint64_t start = q->used_in_log;
  if (is("log-used-ring-at-its-own-address") && region_count > 0) start = q->used - regions[0].at.user + regions[0].at.guest;
  mark(is("log-first-page-of-used-ring") ? start : start + offset, length);
}

static int usable(uint32_t size) {
  if (size == 0) return wrong("ring-of-0");
  if (size > 32768) return wrong("ring-too-large");
  if ((size & (size - 1)) != 0 && (features & BIT(34)) == 0) return wrong("ring-of-no-power-of-two");
  return 0;
}

/* The in-flight entry of a head. */
static uint8_t *flight(uint32_t head) {
  uint64_t at = (inflight_bytes / QUEUES) * 0 + 16 + 16ull * head;
  return inflight == NULL || at + 16 > inflight_bytes ? NULL : inflight + at;
}

/* No bug: a buffer takes a while, in which the front-end may have gone. */
static void take_time(void) {
  if (is("takes-its-time")) usleep(8000);
}

static int run_split(struct queue *q) {
  static uint8_t *d, *a, *u;
  if (d == NULL || a == NULL || u == NULL || !translates() || !is("iotlb-keeps-its-ring")) {
    d = area(q->descriptors, 16ull * q->size, READS);
    a = area(q->available, 6 + 2ull * q->size, READS);
    u = area(q->used, 6 + 8ull * q->size, READS | WRITES);
  }
  if (is_waiting) return 0;
  if (d == NULL || a == NULL || u == NULL) return wrong("areas-nowhere");
  if ((uintptr_t)d % 16 || (uintptr_t)a % 2 || (uintptr_t)u % 4) return wrong("areas-misaligned");
  if (d == a || d == u) return wrong("areas-overlap");
  if (q->base > 0xffff) return wrong("base-out-of-range");
  if (!q->is_recovered && inflight != NULL && !is("never-resubmits")) {
    for (uint32_t i = 0; i < q->size; i++) {
      uint8_t *entry = flight(i);
      if (entry == NULL || *entry == 0) continue;
      /* It is at the end of those that were made available. */
      q->avail--;
      if (!is("resubmits-twice")) *entry = 0;
      break;
    }
    if (q->avail != q->base) q->avail = (uint16_t)q->base;
  }
  q->is_recovered = 1;
  uint16_t available = __atomic_load_n((uint16_t *)(a + 2), __ATOMIC_SEQ_CST);
  if ((uint16_t)(available - q->avail) > q->size) return wrong("index-jumps");
  int worked = 0;
  for (; q->avail != available; worked = 1) {
    uint16_t head = *(uint16_t *)(a + 4 + 2 * (q->avail % q->size)), at = head;
    uint32_t written = 0, id = head;
    struct { uint64_t address; uint32_t length; uint16_t flags, next; } *e;
    for (int n = 0; n < SEGMENTS; n++) {
      e = (void *)(d + 16 * (at % q->size));
      int there = check_segment(e->address, e->length, e->flags);
      if (there <= 0) return there < 0 ? wrong("buffer-nowhere") : worked;
      at = e->next;
      if ((e->flags & F_NEXT) == 0) break;
    }
    at = head;
    if (flight(head) != NULL) *flight(head) = 1;
    for (int n = 0; n < SEGMENTS; n++) {
      e = (void *)(d + 16 * (at % q->size));
      int is_last = (e->flags & F_NEXT) == 0;
      if ((e->flags & F_WRITE) && complete(e->address, e->length, is_last) < 0) return wrong("buffer-nowhere");
      if (e->flags & F_WRITE) written += e->length;
      if (is_last) break;
      at = e->next;
    }
    take_time();
    q->avail++;
    for (int times = is("resubmits-twice") && flight(head) != NULL ? 2 : 1; times > 0; times--) {
      memcpy(u + 4 + 8 * (q->used_index % q->size), &id, 4);
      memcpy(u + 8 + 8 * (q->used_index % q->size), &written, 4);
      mark_used(q, 4 + 8ull * (q->used_index % q->size), 8);
      mark_used(q, 2, 2);
      __atomic_store_n((uint16_t *)(u + 2), ++q->used_index, __ATOMIC_SEQ_CST);
    }
    if (flight(head) != NULL && !is("leaves-buffers-in-flight")) *flight(head) = 0;
    served++;
  }
  return worked;
}

static void advance(struct queue *q, uint16_t *at, uint16_t *wrap) {
  if (++*at < q->size) return;
  *at = 0;
  *wrap ^= is("forgets-the-wrap") ? 0 : 1;
}

static int run_packed(struct queue *q) {
  struct entry { uint64_t address; uint32_t length; uint16_t id, flags; };
  static struct entry *d;
  static uint8_t *a, *u;
  if (d == NULL || a == NULL || u == NULL || !translates() || !is("iotlb-keeps-its-ring")) {
    d = (void *)area(q->descriptors, 16ull * q->size, READS | WRITES);
    a = area(q->available, 4, READS);
    u = area(q->used, 4, READS | WRITES);
  }
  if (is_waiting) return 0;
  if (d == NULL || a == NULL || u == NULL) return wrong("areas-nowhere");
  if ((uintptr_t)d % 16 || (uintptr_t)a % 4 || (uintptr_t)u % 4) return wrong("areas-misaligned");
  if ((uint8_t *)d == a || (uint8_t *)d == u) return wrong("areas-overlap");
  if (q->avail >= q->size || q->used_index >= q->size) return wrong("base-out-of-range");
  int worked = 0;
  for (;; worked = 1) {
    uint16_t flags = __atomic_load_n(&d[q->avail].flags, __ATOMIC_SEQ_CST), id = 0;
    if (!!(flags & P_AVAIL) != q->avail_wrap || !!(flags & P_USED) == q->avail_wrap) break;
    uint32_t written = 0, slots = 0;
    for (uint32_t n = 0; n < q->size; n++) {
      const struct entry *e = &d[(q->avail + n) % q->size];
      int there = check_segment(e->address, e->length, e->flags);
      if (there <= 0) return there < 0 ? wrong("buffer-nowhere") : worked;
      if ((e->flags & F_NEXT) == 0) break;
    }
    while (slots < q->size) {
      struct entry *e = &d[q->avail];
      uint16_t own = e->flags;
      slots++;
      id = e->id;
      if ((own & F_WRITE) && complete(e->address, e->length, !(own & F_NEXT)) < 0) return wrong("buffer-nowhere");
      if (own & F_WRITE) written += e->length;
      advance(q, &q->avail, &q->avail_wrap);
      if (!(own & F_NEXT)) break;
    }
    take_time();
    struct entry *e = &d[q->used_index];
    e->id = id;
    e->length = written;
    __atomic_store_n(&e->flags, F_WRITE | (q->used_wrap ? P_AVAIL | P_USED : 0), __ATOMIC_SEQ_CST);
    for (; slots > 0; slots--) advance(q, &q->used_index, &q->used_wrap);
    served++;
  }
  return worked;
}

/* Serves a queue. Returns 0, or -1 to close the connection. */
static int run(struct queue *q) {
  int is_on = q->is_enabled || ((features & BIT(30)) == 0 && !is("starts-rings-disabled"));
  if (!q->is_started || !is_on || (!q->was_kicked && !q->is_polled)) return 0;
  if (is("wants-acknowledgements") && (protocol & BIT(REPLY_ACK)) == 0) return 0;
  if (is("never-starts-with-status") && (protocol & BIT(STATUS))) return 0;
  if (is("returns-a-buffer-late") && !was_late) return 0;
  q->was_kicked = 0;
  if (!q->has_addresses) return wrong("kick-without-addresses");
  if (usable(q->size) < 0) return -1;
  if (is("stops-at-a-new-table") && has_table > 1) return 0;
  int pending = 0;
  if (is("iotlb-reads-its-channel") && back_channel >= 0 && ioctl(back_channel, FIONREAD, &pending) == 0 && pending > 0)
    abort();
  is_waiting = 0;
  int worked = (features & BIT(34)) ? run_packed(q) : run_split(q);
  if (worked < 0) return -1;
  if (is_waiting) q->was_kicked = 1;
  else if (!worked) q->kicks_in_vain++;
  if (worked) notify(q);
  return 0;
}

static int exchange(int *file, int other, int is_leaked) {
  if (!is_leaked) shut(file);
  *file = other;
  return 0;
}

/* SET_VRING_KICK, CALL and ERR. `fds[0]` is taken where it is used. */
static int set_event(uint32_t request, uint64_t value, int *fds, int count) {
  uint32_t index = value & 0xff;
  int says_none = (value & 0x100) != 0, is_kick = request == 12;
  struct stat s;
  if (index >= QUEUES) return about("trusts-the-index-of", request) ? wrong(bug) : -1;
  struct queue *q = &queues[index];
  if (says_none && count > 0) return about("says-none-and-has-one", request) ? wrong(bug) : -1;
  if (!says_none && count == 0) return about("has-no-descriptor", request) ? wrong(bug) : -1;
  if (count > 1) return about("has-many-descriptors", request) ? wrong(bug) : -1;
  if (count == 1 && fstat(fds[0], &s) == 0 && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) || S_ISCHR(s.st_mode)))
    return about(S_ISREG(s.st_mode) ? "takes-a-file" : S_ISDIR(s.st_mode) ? "takes-a-folder" : "takes-a-device",
                 request) ? wrong(bug) : -1;
  int file = says_none ? -1 : fds[0];
  fds[0] = -1;
  if (request == 14) return is("knows-no-error-descriptor") ? -1 : exchange(&q->error, file, 0);
  if (!is_kick && is("wants-the-kick-before-the-call") && !q->is_started) return -1;
  if (is_kick ? is("keeps-the-first-kick") && q->kick >= 0 : is("keeps-the-first-call") && q->call >= 0) {
    close(file);
    return 0;
  }
  if (!is_kick) return exchange(&q->call, file, 0);
  q->is_polled = says_none && !is("never-polls");
  q->is_started = q->was_kicked = 1;
  logs_at_start = (features & BIT(26)) != 0;
  return exchange(&q->kick, file, is("keeps-replaced-descriptors"));
}

static int add_region(const struct region *r, int file) {
  int most = is("has-fewer-slots-than-it-says") ? 4 : SLOTS;
  if (region_count >= most) return wrong("more-regions-than-slots");
  if (is("has-one-region-only"))
    for (; region_count > 0; region_count--) unmap(&regions[region_count - 1]);
  if (map(&regions[region_count], r, file) < 0) return -1;
  region_count++;
  return 0;
}

static int remove_region(const struct region *r) {
  for (int i = 0; i < region_count; i++) {
    const struct region *own = &regions[i].at;
    if (own->guest != r->guest || own->user != r->user || own->size != r->size) continue;
    unmap(&regions[i]);
    memmove(&regions[i], &regions[i + 1], sizeof regions[0] * (size_t)(region_count - i - 1));
    region_count--;
    if (is("removes-all-regions")) region_count = 0;
    for (int n = 0; n < QUEUES; n++)
      if (queues[n].has_addresses && find(queues[n].descriptors, 1, 1) == NULL) return wrong("region-of-a-ring-goes");
    return 0;
  }
  return wrong("region-unknown");
}

static int set_table(const uint8_t *payload, uint32_t size, const int *fds, int count) {
  uint32_t told;
  memcpy(&told, payload, 4);
  if (told > 8 || (is("takes-4-regions") && told > 4)) return is("takes-4-regions") ? -1 : wrong("table-too-long");
  if (size < 8 + 32 * told) return wrong("table-shorter-than-it-says");
  if (size > 8 + 32 * told) return wrong("table-longer-than-it-says");
  if (count < (int)told) return wrong("table-lacks-descriptors");
  if (count > (int)told) return wrong("table-has-descriptors-more");
  if (has_table && is("keeps-the-first-table")) return 0;
  if (told == 0 && has_table) wrong("table-goes");
  struct region new[8];
  memcpy(new, payload + 8, 32 * told);
  for (uint32_t i = 0; i < told; i++)
    for (uint32_t n = 0; n < i; n++)
      if (new[i].guest < new[n].guest + new[n].size && new[n].guest < new[i].guest + new[i].size)
        return wrong("table-overlaps");
  unmap(&before);
  for (int i = 0; i < region_count; i++)
    if (i == 1 && is("keeps-memory-that-was-taken")) before = regions[i];
    else unmap(&regions[i]);
  region_count = 0;
  has_table++;
  for (uint32_t i = 0; i < told; i++)
    if (add_region(&new[i], fds[i]) < 0) return -1;
  for (int i = 0; i < QUEUES; i++)
    if (queues[i].has_addresses && find(queues[i].descriptors, 1, 1) == NULL && told > 0) wrong("ring-memory-goes");
  return 0;
}

static int give_inflight(const uint8_t *payload) {
  struct { uint64_t size, offset; uint16_t count, entries; } reply;
  memcpy(&reply, payload, 20);
  reply.offset = 0;
  reply.size = is("has-too-little-in-flight-memory") ? 64 : (16 + 16ull * reply.entries) * reply.count;
  if (is("counts-other-queues-in-flight")) reply.count++;
  int file = memfd_create("inflight", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, (off_t)reply.size + 4096) < 0) return -1;
  if (is("has-dirty-in-flight-memory") && pwrite(file, "x", 1, 3) != 1) return -1;
  uint8_t bytes[24] = {0};
  memcpy(bytes, &reply, 20);
  int result = answer(31, bytes, sizeof bytes, is("gives-no-in-flight-descriptor") ? -1 : file);
  close(file);
  return result;
}

static int take_inflight(const uint8_t *payload, int file) {
  struct { uint64_t size, offset; uint16_t count, entries; } told;
  struct stat s;
  memcpy(&told, payload, 20);
  if (fstat(file, &s) < 0 || !S_ISREG(s.st_mode) || told.size == 0 || told.offset != 0 ||
      (uint64_t)s.st_size < told.size)
    return -1;
  if (inflight != NULL) munmap(inflight, inflight_bytes);
  inflight = mmap(NULL, told.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  inflight_bytes = told.size;
  if (inflight != MAP_FAILED) return 0;
  inflight = NULL;
  return -1;
}

/* Bytes of a payload, at least and at most; -1 for a request that there is none of. */
static int least(uint32_t request) {
  switch (request) {
  case 1: case 3: case 4: case 7: case 15: case 17: case 21: case 34: case 36: case 40: return 0;
  case 2: case 8: case 10: case 11: case 12: case 13: case 14: case 16: case 18: case 35: case 39: case 5: return 8;
  case 9: case 37: case 38: return 40;
  case 6: return 16;
  case 22: return 26;
  case 24: case 25: return 12;
  case 31: case 32: return 24;
  default: return -1;
  }
}

static int most(uint32_t request) {
  if (request == 5) return 8 + 32 * 8;
  if (request == 24 || request == 25) return 12 + 256;
  if (request == 22) return 32;
  if (request == 31 || request == 32) return 24;
  return least(request);
}

static int gated(uint32_t request, int bit) {
  if (protocol & BIT(bit)) return 0;
  return about("unasked", request) ? wrong(bug) : -1;
}

static int execute(uint32_t request, uint8_t *payload, uint32_t size, int *fds, int count, int *has_answered) {
  uint64_t u64;
  uint32_t index, number, flags, offset;
  memcpy(&u64, payload, 8);
  memcpy(&index, payload, 4);
  memcpy(&number, payload + 4, 4);
  memcpy(&flags, payload + 8, 4);
  memcpy(&offset, payload + 12, 4);
  int is_indexed = (request >= 8 && request <= 11) || request == 18 || request == 35;
  if (is_indexed && index >= QUEUES) return about("trusts-the-index-of", request) ? wrong(bug) : -1;
  struct queue *q = &queues[is_indexed ? index : 0];
  int is_query = request == 1 || request == 11 || request == 15 || request == 17 || request == 24 || request == 31 ||
                 request == 36 || request == 40 || request == 6;
  *has_answered = is_query;
  switch (request) {
  case 1:
    if (is("wants-an-owner-first") && !has_owner) return -1;
    return answer_u64(1, is("offers-less-once-accepted") && features != 0 ? FEATURES & ~BIT(9) : FEATURES);
  case 2:
    if ((u64 & ~FEATURES) != 0) return wrong("features-not-offered");
    if ((u64 & BIT(32)) == 0) return wrong("features-without-version-1");
    if (queues[0].is_started && queues[0].is_enabled && ((u64 ^ features) & ~BIT(26)) != 0)
      return wrong("features-while-running");
    features = u64;
    was_logging |= (u64 & BIT(26)) != 0;
    return 0;
  case 3:
    if (has_owner && is("takes-one-owner-only")) return -1;
    has_owner = 1;
    return 0;
  case 4: return is("ends-at-reset-owner") ? -1 : 0;
  case 5: return set_table(payload, size, fds, count);
  case 6:
    if (take_log(u64, (uint64_t)flags | (uint64_t)offset << 32, fds, count) < 0) return -1;
    return is("log-has-no-answer") ? 0 : answer_u64(6, 0);
  case 7:
    if (count != 1) return wrong("log-kick-without-descriptor");
    exchange(&log_kick, fds[0], 0);
    fds[0] = -1;
    return 0;
  case 8:
    if (q->has_num && is("keeps-the-first-size")) return 0;
    if (q->is_started && q->is_enabled && number != q->size) wrong("size-while-running");
    q->has_num = 1;
    q->size = number;
    return 0;
  case 9:
    if (q->is_started && q->is_enabled && u64 != 0 && number == 0) wrong("addresses-while-running");
    if (q->is_started && q->is_enabled) {
      uint64_t d;
      memcpy(&d, payload + 8, 8);
      if (d == 0) wrong("addresses-while-running");
    }
    memcpy(&q->descriptors, payload + 8, 8);
    memcpy(&q->used, payload + 16, 8);
    memcpy(&q->available, payload + 24, 8);
    if (q->descriptors == 0) wrong("addresses-of-0");
    if (!translates() && find(q->descriptors, 1, 1) == NULL && region_count > 0) wrong("addresses-nowhere");
    memcpy(&q->used_in_log, payload + 32, 8);
    q->logs_used = (number & 1) != 0 || (q->logs_used && is("log-keeps-the-flag-of-a-ring"));
    if (q->logs_used && log_bytes != NULL && (q->used_in_log + 6 + 8ull * q->size) / LOG_PAGE / 8 >= log_size)
      return wrong("log-used-ring-behind-it");
    if (q->logs_used && q->used_in_log + 6 + 8ull * q->size < q->used_in_log) return wrong("log-used-ring-wraps");
    q->has_addresses = 1;
    return 0;
  case 10:
    if (is("ignores-the-base")) return 0;
    if (is("wants-the-size-before-the-base") && !q->has_num) return -1;
    if (q->is_started && q->is_enabled) wrong("base-while-running");
    q->base = number;
    q->avail = number & ((features & BIT(34)) ? 0x7fff : 0xffff);
    q->used_index = (features & BIT(34)) ? number >> 16 & 0x7fff : number & 0xffff;
    q->avail_wrap = number >> 15 & 1;
    q->used_wrap = number >> 31;
    return 0;
  case 11: {
    uint32_t base = q->avail;
    if (stops > 0 && !q->is_started) wrong("stopped-twice");
    if (is_waiting && is("iotlb-stops-no-ring-that-waits")) return 0;
    if (is("returns-a-buffer-late") || is("works-on-after-a-stop")) {
      /* Shown below: the ring goes on. */
    } else {
      q->is_started = 0;
      shut(&q->kick);
    }
    if (features & BIT(34)) base |= q->avail_wrap << 15 | (uint32_t)q->used_index << 16 | (uint32_t)q->used_wrap << 31;
    if (is("stops-at-0")) base = (features & BIT(34)) ? 0x80008000 : 0;
    if (is("stops-one-further")) base++;
    uint32_t reply[2] = {is("stops-another-queue") ? index + 1 : index, base};
    stops++;
    return answer(11, reply, 8, -1);
  }
  case 12: case 13: case 14: return set_event(request, u64, fds, count);
  case 15:
    if (is("has-no-protocol-features-before-features") && features == 0) return -1;
    u64 = PROTOCOL | (is("offers-protocol-bit-40") ? BIT(40) : 0);
    return answer_u64(15, is("offers-other-protocol-features-later") && features != 0 ? u64 & ~BIT(RESET) : u64);
  case 16:
    if ((u64 & ~PROTOCOL) != 0) return wrong("protocol-features-not-offered");
    if ((u64 & BIT(INBAND)) && (u64 & (BIT(BACKEND_REQ) | BIT(REPLY_ACK))) != (BIT(BACKEND_REQ) | BIT(REPLY_ACK)) &&
        !is("takes-in-band-notifications-alone"))
      return -1;
    protocol = u64;
    return 0;
  case 17:
    if (is("unasked-17") && (protocol & BIT(MQ)) == 0 && has_owner) abort();
    return answer_u64(17, is("has-no-queue") ? 0 : QUEUES);
  case 18:
    if (number > 1) return wrong("enabled-with-2");
    if (number == 1 && is("is-disabled-for-good") && q->is_enabled == 2) return 0;
    q->is_enabled = number ? 1 : is("is-disabled-for-good") ? 2 : 0;
    if (q->is_enabled == 2) q->is_started = 0;
    if (is("forgets-kicks-before-enable")) q->was_kicked = 0;
    return 0;
  case 21: return take_channel(fds, count);
  case 22: return translates() ? take_iotlb(payload) : wrong("iotlb-not-negotiated");
  case 24: {
    uint8_t reply[12 + 256] = {0};
    if (gated(24, CONFIG) < 0) return -1;
    if (index > CONFIG_BYTES) { wrong("config-behind-its-end"); return answer(24, payload, 0, -1); }
    if (number > 256 || number + 12 != size) return wrong("config-size-lies");
    memcpy(reply, payload, 12);
    if (is("answers-config-of-0")) memset(reply, 0, 12);
    uint32_t from = is("reads-config-from-0") ? 0 : index;
    for (uint32_t i = 0; i < number && from + i < CONFIG_BYTES; i++) reply[12 + i] = config[from + i];
    if (is("has-another-config-later") && served > 0) reply[12]++;
    return answer(24, reply, is("has-60-bytes-of-config-only") ? 12 + CONFIG_BYTES : size, -1);
  }
  case 25:
    if (gated(25, CONFIG) < 0) return -1;
    if (index > CONFIG_BYTES || number > CONFIG_BYTES - index)
      return index > CONFIG_BYTES ? wrong("set-config-behind-its-end") : wrong("set-config-size-lies");
    if (number + 12 != size) return wrong("set-config-size-lies");
    if (!is("lets-drivers-write-its-config")) return -1;
    memcpy(config + index, payload + 12, number);
    return 0;
  case 31: return gated(31, INFLIGHT) < 0 ? -1 : give_inflight(payload);
  case 32: return gated(32, INFLIGHT) < 0 || count != 1 ? -1 : take_inflight(payload, fds[0]);
  case 34:
    if (gated(34, RESET) < 0) return -1;
    for (int i = 0; i < QUEUES && !is("goes-on-after-a-reset"); i++) queues[i].is_enabled = queues[i].is_started = 0;
    return 0;
  case 35: return gated(35, INBAND);
  case 36: return gated(36, MEM_SLOTS) < 0 ? -1 : answer_u64(36, is("has-no-slot") ? 0 : SLOTS);
  case 37: case 38: {
    struct region r;
    memcpy(&r, payload + 8, sizeof r);
    if (gated(request, MEM_SLOTS) < 0) return -1;
    if (request == 38) return count > 0 && is("region-removed-with-descriptor") ? wrong(bug) : remove_region(&r);
    if (count != 1) return count == 0 ? wrong("region-added-without-descriptor") : wrong("region-added-with-2");
    return add_region(&r, fds[0]);
  }
  case 39:
    if (gated(39, STATUS) < 0) return -1;
    if (u64 == 0 && is("ignores-status-0")) return 0;
    status = is("forgets-the-status") ? 0 : u64;
    return 0;
  case 40: return gated(40, STATUS) < 0 ? -1 : answer_u64(40, status);
  default: return -1;
  }
}

/* Receives and executes one message. Returns -1 to close the connection. */
static int serve(void) {
  uint8_t payload[MOST_BYTES] = {0};
  char control[CMSG_SPACE(sizeof(int) * MAX_FDS)];
  struct header h;
  struct iovec part = {&h, sizeof h};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fds[MAX_FDS], count = 0, has_answered = 0;
  ssize_t got = recvmsg(peer, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC);
  if (got > 0 && got < (ssize_t)sizeof h) wrong("half-a-header");
  if (got != sizeof h) return -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL && c->cmsg_type == SCM_RIGHTS; c = NULL) {
    count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)count);
  }
  int result = 0, known = least(h.request), waiting = 0;
  if (h.size > MOST_BYTES) result = wrong("payload-beyond");
  if (result == 0 && h.size > 0 && is("wants-messages-whole") && ioctl(peer, FIONREAD, &waiting) == 0 && waiting == 0)
    result = -1;
  if (result == 0 && h.size > 0) {
    ssize_t bytes = recv(peer, payload, h.size, MSG_WAITALL);
    if (bytes != (ssize_t)h.size) result = bytes > 0 ? wrong("half-a-payload") : -1;
  }
  int is_first = messages++ == 0;
  if (result == 0 && (h.flags & 3) != 1) result = wrong("another-version");
  if (result == 0 && (h.flags & 4) != 0) result = wrong("a-reply");
  if (result == 0 && (h.flags & ~15u) != 0) result = wrong("reserved-flags");
  if (result == 0 && known < 0 && !is("says-that-all-succeeds")) result = wrong("unknown-request");
  if (result == 0 && known >= 0 && (int)h.size < known)
    result = about("trusts-the-size-of", h.request) ? wrong(bug) : -1;
  if (result == 0 && known >= 0 && (int)h.size > most(h.request))
    result = about("takes-more-of", h.request) ? wrong(bug) : -1;
  if (result == 0 && is_first && about("early", h.request)) wrong(bug);
  if (result == 0 && is("flooded") && messages > 200 && h.request == 1) abort();
  if (result == 0 && known >= 0) result = execute(h.request, payload, h.size, fds, count, &has_answered);
  for (int i = 0; i < count; i++)
    if (fds[i] >= 0 && !(is("keeps-spare-descriptors") && h.request == 3)) close(fds[i]);
  int acknowledges = (protocol & BIT(REPLY_ACK)) != 0 || (is("remembers-another-connection") && always_acknowledges);
  if (protocol & BIT(REPLY_ACK)) always_acknowledges = 1;
  int is_wanted = (h.flags & 8) != 0 || is("acknowledges-everything") ||
                  (is("remembers-another-connection") && (protocol & BIT(REPLY_ACK)) == 0);
  if (is("answers-twice") && has_answered && is_wanted) has_answered = 0;
  if (acknowledges && is_wanted && !has_answered && h.request != 16 && !about("never-acknowledges", h.request))
    if (answer_u64(h.request, result < 0 ? 1 : 0) < 0) result = -1;
  return result;
}

/* What a back-end with a bug does not survive, at the end of a connection. */
static void leave(void) {
  const struct queue *q = &queues[0];
  if (messages == 0) wrong("left-at-once");
  if (messages == 1) wrong("left-after-features");
  if (region_count > 0 && !q->has_num) wrong("left-after-memory");
  if (q->is_started && !q->is_enabled) wrong("left-before-enable");
  if (q->is_started && q->is_enabled && served == 2) wrong("left-while-running");
  if (served == 4) wrong("left-with-buffers");
  if (served == 0 && q->kicks_in_vain > 1) wrong("left-with-unpublished-buffers");
  if (stops > 0 && served == 0) wrong("left-stopped");
}

static void converse(int listener) {
  for (;;) {
    struct pollfd wait[2 + QUEUES] = {{.fd = peer, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int timeout = -1;
    if (is("drops-its-front-end-for-another")) wait[1].fd = listener;
    for (int i = 0; i < QUEUES; i++) {
      wait[2 + i] = (struct pollfd){.fd = queues[i].kick, .events = POLLIN};
      if (queues[i].is_started && queues[i].is_polled) timeout = 1;
    }
    if (is("returns-a-buffer-late") && !was_late) timeout = stops > 0 ? 1 : 20;
    if (is("iotlb-waits-a-moment") && is_waiting) timeout = 1;
    if (is("iotlb-asks-without-end") && is_waiting) timeout = 0;
    if (is("log-marks-after-a-stop") && stops > 0) timeout = 1;
    int ready = poll(wait, 2 + QUEUES, timeout);
    if (ready < 0 || wait[1].revents) return;
    if (ready == 0 && is("returns-a-buffer-late")) was_late = 1;
    if (ready == 0 && is("log-marks-after-a-stop")) mark(0, 1);
    if (ready == 0 && is("iotlb-waits-a-moment"))
      for (int i = 0; i < QUEUES; i++) queues[i].was_kicked = 0;
    int result = 0;
    for (int i = 0; i < QUEUES; i++) {
      uint64_t value;
      if ((wait[2 + i].revents & POLLIN) == 0) continue;
      if (read(queues[i].kick, &value, sizeof value) > 0) queues[i].was_kicked = 1;
    }
    for (int i = 0; i < QUEUES && result == 0; i++) result = run(&queues[i]);
    if (result == 0 && wait[0].revents) result = serve();
    for (int i = 0; i < QUEUES && result == 0; i++) result = run(&queues[i]);
    if (result < 0) return;
  }
}

int main(int count, char **words) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  uint64_t capacity = 32768;
  if (count != 3) return 2;
  bug = words[2];
  memcpy(config, &capacity, 8);
  config[12] = 126;
  config[21] = 2;
  snprintf(name.sun_path, sizeof name.sun_path, "%s", words[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 8) < 0) return 4;
  for (;;) {
    forget();
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (is("serves-20-connections") && ++connections > 20) for (;;) pause();
    converse(listener);
    leave();
    shut(&peer);
  }
}
