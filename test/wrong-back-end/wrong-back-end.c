/*
 * A vhost-user block back-end with one bug, which the command line names: `wrong-back-end SOCKET BUG [OPTION...]`.
 * Split and packed rings, EVENT_IDX, indirect tables, IN_ORDER; 16 MiB in memory. Without a bug (`none`) it is right.
 * Options: `packed`, `in-order`, `two-queues`, `small-disk` (64 KiB); `no-event-idx` and `no-indirect` offer less.
 * `resizes` is no bug: the disk grows to 24 MiB.
 * A bug of the ring or of data happens at request 40 and at every 100th after it, so that all works at first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DISK = 16 << 20, LARGER_DISK = 24 << 20, SECTOR = 512, MAX_REGIONS = 8, MAX_SEGMENTS = 64, MAX_QUEUES = 2 };
enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, P_AVAIL = 1 << 7, P_USED = 1 << 15 };
enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

static const uint64_t FEATURES = 1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28 | 1ull << 9 | 1ull << 6 | 1ull << 2;
static const uint64_t PACKED = 1ull << 34, IN_ORDER = 1ull << 35, MQ = 1ull << 12;
/* REPLY_ACK and CONFIG; BACKEND_REQ where it tells of a changed configuration */
static const uint64_t PROTOCOL_FEATURES = 1ull << 3 | 1ull << 9 | 1ull << 0, BACKEND_REQ = 1ull << 5;

struct region {
  uint64_t guest, user, size, offset;
  uint8_t *bytes;
};
struct message {
  uint32_t request, flags, size;
  union {
    uint64_t u64;
    struct { uint32_t index, number; } state;
    struct { uint32_t index, flags; uint64_t descriptor, used, available, log; } address;
    struct { uint32_t count, padding; struct { uint64_t guest, size, user, offset; } at[MAX_REGIONS]; } table;
    struct { uint32_t offset, size, flags; uint8_t bytes[256]; } config;
    uint8_t raw[512];
  } payload;
} __attribute__((packed));
struct descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
};
struct packed_descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t id, flags;
};
struct segment {
  uint8_t *bytes;
  uint32_t length;
  int writable;
};

static const char *bug;
static int offers_packed, is_packed, has_event_idx, queue_count = 1;
static uint64_t offered_too, left_out;
static uint8_t *disk;
static struct region regions[MAX_REGIONS];
static int region_count;
static struct queue {
  uint32_t queue_size;
  int kick, call, is_enabled;
  uint8_t *descriptors, *driver_area, *device_area;
  uint16_t last_avail, used_index;
  int avail_wrap, used_wrap, goes_back, is_forgetful;
} queues[MAX_QUEUES] = {{.kick = -1, .call = -1}, {.kick = -1, .call = -1}}, *q = queues;
static unsigned requests;
static uint64_t accepted, disk_size = DISK;
static int back_channel = -1;
/* A status that is written after its buffer was used. */
static uint8_t *late_status, late_value;

static int is(const char *name) { return strcmp(bug, name) == 0; }

/* Whether the bug happens at this request. */
static int now(const char *name) { return is(name) && requests >= 40 && requests % 100 == 40; }

static void say(const char *format, ...) {
  va_list values;
  va_start(values, format);
  vfprintf(stderr, format, values);
  va_end(values);
  fputc('\n', stderr);
}

static uint8_t *from_user(uint64_t user) {
  for (int i = 0; i < region_count; i++)
    if (user >= regions[i].user && user - regions[i].user < regions[i].size)
      return regions[i].bytes + (user - regions[i].user);
  say("ring address %#lx is in no region", (unsigned long)user);
  exit(3);
}

static uint8_t *from_guest(uint64_t guest, uint32_t length) {
  for (int i = 0; i < region_count; i++)
    if (guest >= regions[i].guest && guest + length <= regions[i].guest + regions[i].size)
      return regions[i].bytes + (guest - regions[i].guest);
  say("%u bytes at %#lx are in no region", length, (unsigned long)guest);
  exit(3);
}

/* The disk grows once, and the front-end is told (CONFIG_CHANGE_MSG). */
static void resize(void) {
  uint32_t message[3] = {2, 1, 0};
  if (!is("resizes") || requests < 40 || disk_size != DISK) return;
  disk_size = LARGER_DISK;
  if (send(back_channel, message, sizeof message, MSG_NOSIGNAL) < 0) exit(4);
}

static void notify(void) {
  uint64_t one = 1;
  static unsigned notifications;
  if (is("never-notifies") || (is("loses-a-notification") && ++notifications % 8 == 5)) return;
  if (q->call >= 0 && write(q->call, &one, sizeof one) < 0 && errno != EAGAIN) perror("call");
}

/* Gathers the segments of a buffer. Returns how many. */
static int add_segment(struct segment *to, int count, uint64_t address, uint32_t length, int flags) {
  if (count == MAX_SEGMENTS) exit(3);
  to[count] = (struct segment){from_guest(address, length), length, (flags & F_WRITE) != 0};
  return count + 1;
}

static int gather_table(struct segment *to, const uint8_t *table, uint32_t bytes) {
  int count = 0;
  uint32_t entries = bytes / 16, at = 0;
  for (uint32_t i = 0; i < entries; i++) {
    const struct descriptor *d = (const void *)(table + 16 * (is_packed ? i : at));
    uint16_t flags = is_packed ? d->next : d->flags;
    count = add_segment(to, count, d->address, d->length, flags);
    if (is_packed) continue;
    if ((flags & F_NEXT) == 0) break;
    at = d->next;
  }
  return count;
}

static void copy(struct segment *to, int count, int writable, uint32_t skip, uint8_t *bytes, uint32_t length) {
  for (int i = 0; i < count && length > 0; i++) {
    if (to[i].writable != writable) continue;
    if (skip >= to[i].length) {
      skip -= to[i].length;
      continue;
    }
    uint32_t run = to[i].length - skip < length ? to[i].length - skip : length;
    if (writable) memcpy(to[i].bytes + skip, bytes, run);
    else memcpy(bytes, to[i].bytes + skip, run);
    bytes += run;
    length -= run;
    skip = 0;
  }
}

static uint32_t total(struct segment *of, int count, int writable) {
  uint32_t sum = 0;
  for (int i = 0; i < count; i++) if (of[i].writable == writable) sum += of[i].length;
  return sum;
}

/* Serves one request and returns its used length. */
static uint32_t serve(struct segment *segments, int count) {
  static uint8_t data[1 << 20];
  struct { uint32_t type, reserved; uint64_t sector; } header;
  uint32_t readable = total(segments, count, 0), writable = total(segments, count, 1);
  uint8_t status = S_OK;
  copy(segments, count, 0, 0, (uint8_t *)&header, sizeof header);
  uint32_t length = header.type == BLK_OUT ? readable - 16 : writable - 1;
  uint64_t at = header.sector * SECTOR;
  requests++;
  resize();
  if (now("crashes")) abort();
  if (now("exits")) {
    say("disk failure, giving up");
    exit(7);
  }
  if (is("hangs") && requests == 40) for (;;) pause();
  if (now("wrong-sector")) at += SECTOR;
  if (now("swaps-two-requests") && header.type == BLK_IN) at -= length;
  if (is("swaps-two-requests") && requests % 100 == 41 && header.type == BLK_IN) at += length;
  if (now("forgets-avail-event")) q->is_forgetful = 1;
  if (header.type != BLK_FLUSH && at + length > disk_size) {
    status = S_IOERR;
    length = 0;
  } else if (header.type == BLK_OUT) {
    copy(segments, count, 0, 16, data, length);
    if (now("loses-a-write")) length = 0;
    if (now("tears-a-write")) length = SECTOR;
    memcpy(disk + at, data, length);
  } else if (header.type == BLK_IN) {
    memcpy(data, disk + at, length);
    if (now("flips-a-bit")) data[777] ^= 0x10;
    if (now("reads-zeros")) memset(data, 0, length);
    if (now("swaps-bytes")) for (uint32_t i = 0; i + 1 < length; i += 2) {
      uint8_t first = data[i];
      data[i] = data[i + 1];
      data[i + 1] = first;
    }
    copy(segments, count, 1, 0, data, now("reads-short") ? length - 100 : length);
    if (now("writes-beyond-the-buffer"))
      for (int i = 0; i < count; i++)
        if (segments[i].writable && segments[i].length > 1) memset(segments[i].bytes + segments[i].length, 0x77, 16);
  } else status = S_UNSUPP;
  if (now("reports-io-error")) status = S_IOERR;
  if (now("reports-unsupported")) status = S_UNSUPP;
  if (now("invents-a-status")) status = 77;
  if (now("writes-the-status-late")) {
    late_status = segments[count - 1].bytes;
    late_value = status;
  } else if (!now("forgets-the-status")) copy(segments, count, 1, writable - 1, &status, 1);
  uint32_t written = header.type == BLK_OUT ? 1 : length + 1;
  if (now("used-length-zero")) return 0;
  if (now("used-length-short")) return written / 2;
  if (now("used-length-too-large")) return writable + 1;
  return written;
}

/* What happens once a buffer is used. */
static void after_use(void) {
  if (late_status == NULL) return;
  notify();
  usleep(20000);
  *late_status = late_value;
  late_status = NULL;
}

/* The device writes to a descriptor of the buffer, or of its indirect table, that it just served. */
static void corrupt(uint8_t *descriptor) {
  if (now("corrupts-a-descriptor")) descriptor[8] ^= 0x40;
}

/* A used buffer on a split ring; several where a bug wants it. */
static void use_split(uint32_t id, uint32_t length) {
  volatile uint16_t *index = (uint16_t *)(q->device_area + 2);
  uint32_t slot = q->used_index % q->queue_size;
  if (now("never-completes-one")) return;
  if (now("id-out-of-range")) id = q->queue_size + 3;
  if (now("id-not-outstanding")) id = (id + q->queue_size / 2) % q->queue_size;
  if (now("overwrites-a-used-element")) slot = (slot + q->queue_size - 1) % q->queue_size;
  memcpy(q->device_area + 4 + 8 * slot, &id, 4);
  memcpy(q->device_area + 8 + 8 * slot, &length, 4);
  q->used_index++;
  if (now("completes-twice")) {
    slot = q->used_index % q->queue_size;
    memcpy(q->device_area + 4 + 8 * slot, &id, 4);
    memcpy(q->device_area + 8 + 8 * slot, &length, 4);
    q->used_index++;
  }
  if (now("skips-an-index")) q->used_index++;
  if (now("index-jumps")) q->used_index += q->queue_size + 5;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (now("index-goes-back")) q->goes_back = 1;
  *index = q->goes_back ? q->used_index - 20 : q->used_index;
}

static void advance(uint16_t *at, int *wrap, uint32_t by) {
  *at += by;
  if (*at < q->queue_size) return;
  *at -= q->queue_size;
  *wrap ^= 1;
}

static void use_packed(uint16_t id, uint32_t length, uint32_t slots) {
  if (now("never-completes-one")) return;
  if (now("id-out-of-range")) id = q->queue_size + 3;
  if (now("id-not-outstanding")) id = (id + q->queue_size / 2) % q->queue_size;
  if (now("skips-an-index")) advance(&q->used_index, &q->used_wrap, 1);
  for (int times = now("completes-twice") ? 2 : 1; times > 0; times--) {
    struct packed_descriptor *d = (void *)(q->descriptors + 16 * q->used_index);
    int wrap = now("index-goes-back") ? !q->used_wrap : q->used_wrap;
    d->id = id;
    d->length = length;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&d->flags, F_WRITE | (wrap ? P_AVAIL | P_USED : 0), __ATOMIC_SEQ_CST);
    advance(&q->used_index, &q->used_wrap, slots);
    if (is("forgets-the-used-wrap")) q->used_wrap = 1;
  }
  if (now("index-jumps")) advance(&q->used_index, &q->used_wrap, 5);
}

/* Whether the driver wants to know of the buffers used from `before` on. */
static int wants_split(uint16_t before) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint16_t flags = *(volatile uint16_t *)q->driver_area;
  if (!has_event_idx) return (flags & 1) == 0;
  uint16_t event = *(volatile uint16_t *)(q->driver_area + 4 + 2 * q->queue_size);
  if (is("event-off-by-one")) event++;
  return (uint16_t)(q->used_index - event - 1) < (uint16_t)(q->used_index - before);
}

static int wants_packed(uint16_t before, int before_wrap) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint32_t event = *(volatile uint32_t *)q->driver_area;
  uint16_t flags = event >> 16 & 3, at = event & 0x7fff;
  if (flags != 2) return flags == 0;
  if (is("event-off-by-one")) at++;
  int wrap = is("forgets-the-event-wrap") ? 1 : event >> 15 & 1;
  uint16_t moved = q->used_index - before + (q->used_wrap != before_wrap ? q->queue_size : 0);
  int16_t behind = q->used_index - at + (wrap != q->used_wrap ? q->queue_size : 0);
  return behind > 0 && behind <= moved;
}

static void run_split(void) {
  struct segment segments[MAX_SEGMENTS];
  uint16_t before = q->used_index;
  for (;;) {
    uint16_t available = *(volatile uint16_t *)(q->driver_area + 2);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint16_t event = is("suppresses-kicks") ? available - 1 : available;
    if (q->is_forgetful) {
    } else if (has_event_idx) *(volatile uint16_t *)(q->device_area + 4 + 8 * q->queue_size) = event;
    else *(volatile uint16_t *)q->device_area = is("suppresses-kicks");
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->last_avail == available) break;
    while (q->last_avail != available) {
      uint16_t head = *(uint16_t *)(q->driver_area + 4 + 2 * (q->last_avail++ % q->queue_size));
      int count = 0;
      for (uint16_t at = head;;) {
        const struct descriptor *d = (const void *)(q->descriptors + 16 * at);
        if (d->flags & F_INDIRECT) {
          count = gather_table(segments, from_guest(d->address, d->length), d->length);
          break;
        }
        count = add_segment(segments, count, d->address, d->length, d->flags);
        if ((d->flags & F_NEXT) == 0) break;
        at = d->next;
      }
      uint32_t length = serve(segments, count);
      corrupt(q->descriptors + 16 * head);
      use_split(head, length);
      after_use();
    }
  }
  if (q->used_index != before && (is("notifies-always") || wants_split(before))) notify();
}

static void run_packed(void) {
  struct segment segments[MAX_SEGMENTS];
  uint16_t before = q->used_index;
  int before_wrap = q->used_wrap;
  volatile uint32_t *event = (uint32_t *)q->device_area;
  for (;;) {
    const struct packed_descriptor *d = (const void *)(q->descriptors + 16 * q->last_avail);
    uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_SEQ_CST);
    int is_there = !!(flags & P_AVAIL) == q->avail_wrap && !!(flags & P_USED) != q->avail_wrap;
    if (!is_there) {
      uint32_t mine = is("suppresses-kicks") ? 1u << 16
                      : has_event_idx        ? 2u << 16 | (uint32_t)q->avail_wrap << 15 | q->last_avail
                                             : 0;
      if (*event == mine || q->is_forgetful) break;
      *event = mine;
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      continue;
    }
    int count = 0;
    uint32_t slots = 0;
    uint16_t id, at = q->last_avail;
    for (;;) {
      d = (const void *)(q->descriptors + 16 * at);
      slots++;
      id = d->id;
      if (d->flags & F_INDIRECT) count = gather_table(segments, from_guest(d->address, d->length), d->length);
      else count = add_segment(segments, count, d->address, d->length, d->flags);
      if ((d->flags & F_NEXT) == 0) break;
      at = (at + 1) % q->queue_size;
    }
    advance(&q->last_avail, &q->avail_wrap, slots);
    if (is("forgets-the-avail-wrap")) q->avail_wrap = 1;
    uint32_t length = serve(segments, count);
    if (d->flags & F_INDIRECT) corrupt(from_guest(d->address, 16));
    use_packed(id, length, slots);
    after_use();
  }
  int is_moved = q->used_index != before || q->used_wrap != before_wrap;
  if (is_moved && (is("notifies-always") || wants_packed(before, before_wrap))) notify();
}

static void run(void) {
  for (q = queues; q < queues + queue_count; q++) {
    if (!q->is_enabled || is("never-starts")) continue;
    if (is_packed) run_packed();
    else run_split();
  }
  q = queues;
}

static void answer(int socket, struct message *m, uint32_t size) {
  m->flags = 1 | 4;
  m->size = size;
  if (is("answers-another-request") && m->request == 24) m->request = 17;
  if (send(socket, m, 12 + size, MSG_NOSIGNAL) < 0) exit(4);
}

static void answer_u64(int socket, struct message *m, uint64_t value) {
  m->payload.u64 = value;
  answer(socket, m, 8);
}

static void fill_config(uint8_t *to) {
  uint64_t capacity = is("capacity-zero") ? 0 : is("capacity-too-large") ? 64ull * DISK / SECTOR : disk_size / SECTOR;
  uint32_t seg_max = is("seg-max-zero") ? 0 : 126, blk_size = is("block-size-513") ? 513 : 512;
  memset(to, 0, 256);
  memcpy(to, &capacity, 8);
  memcpy(to + 12, &seg_max, 4);
  memcpy(to + 20, &blk_size, 4);
  to[34] = (uint8_t)queue_count;
}

static void map_regions(struct message *m, int *descriptors_of, int count) {
  for (int i = 0; i < region_count; i++)
    munmap(regions[i].bytes - regions[i].offset, regions[i].size + regions[i].offset);
  region_count = (int)m->payload.table.count;
  for (int i = 0; i < region_count && i < count; i++) {
    struct region *r = &regions[i];
    r->guest = m->payload.table.at[i].guest;
    r->size = m->payload.table.at[i].size;
    r->user = m->payload.table.at[i].user;
    r->offset = m->payload.table.at[i].offset;
    r->bytes = mmap(NULL, r->size + r->offset, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors_of[i], 0);
    if (r->bytes == MAP_FAILED) exit(4);
    r->bytes += r->offset;
    close(descriptors_of[i]);
  }
}

static void handle(int socket, struct message *m, int *fds, int count) {
  int wants_reply = (m->flags & 8) != 0;
  uint32_t index = m->payload.state.index & 0xff;
  int is_of_queue = (m->request >= 8 && m->request <= 14) || m->request == 18;
  q = &queues[is_of_queue && index < MAX_QUEUES ? index : 0];
  switch (m->request) {
  case 1:
    answer_u64(socket, m, (FEATURES | offered_too | (offers_packed ? PACKED : 0)) &
                              ~(left_out | (is("no-version-1") ? 1ull << 32 : 0)));
    return;
  case 2:
    accepted = m->payload.u64;
    is_packed = (accepted & PACKED) != 0;
    has_event_idx = (accepted & 1ull << 29) != 0;
    break;
  case 5: map_regions(m, fds, count); break;
  case 8: q->queue_size = m->payload.state.number; break;
  case 9:
    q->descriptors = from_user(m->payload.address.descriptor);
    q->driver_area = from_user(m->payload.address.available);
    q->device_area = from_user(m->payload.address.used);
    break;
  case 10:
    q->last_avail = is_packed ? m->payload.state.number & 0x7fff : m->payload.state.number;
    q->avail_wrap = q->used_wrap = 1;
    q->used_index = q->last_avail;
    break;
  case 11:
    if (is("exits-when-stopped")) exit(9);
    if (is("hangs-when-stopped")) for (;;) pause();
    q->is_enabled = 0;
    m->payload.state.number = q->last_avail;
    if (is_packed)
      m->payload.state.number |= q->avail_wrap << 15 | (uint32_t)q->used_index << 16 | (uint32_t)q->used_wrap << 31;
    answer(socket, m, 8);
    return;
  case 12: q->kick = count > 0 ? fds[0] : -1; break;
  case 13: q->call = count > 0 ? fds[0] : -1; break;
  case 15: answer_u64(socket, m, PROTOCOL_FEATURES | (is("resizes") ? BACKEND_REQ : 0)); return;
  case 17: answer_u64(socket, m, (uint64_t)queue_count); return;
  case 21: back_channel = count > 0 ? fds[0] : -1; break;
  case 18: q->is_enabled = (int)m->payload.state.number; break;
  case 24:
    if (is("closes-instead-of-answering")) exit(5);
    if (is("never-answers")) for (;;) pause();
    fill_config(m->payload.config.bytes);
    answer(socket, m, is("config-too-short") ? 12 : m->size);
    return;
  default: break;
  }
  if (wants_reply) answer_u64(socket, m, is("refuses-the-memory-table") && m->request == 5 ? 1 : 0);
  run();
}

static int receive(int socket, struct message *m, int *fds) {
  char control[CMSG_SPACE(sizeof(int) * MAX_REGIONS)];
  struct iovec part = {m, 12};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(socket, &header, MSG_WAITALL);
  if (got < 12 || m->size > sizeof m->payload) exit(0);
  if (m->size > 0 && recv(socket, &m->payload, m->size, MSG_WAITALL) < (ssize_t)m->size) exit(0);
  struct cmsghdr *c = CMSG_FIRSTHDR(&header);
  if (c == NULL || c->cmsg_type != SCM_RIGHTS) return 0;
  int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
  return count;
}

int main(int count, char **words) {
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  if (count < 3) return 2;
  bug = words[2];
  for (int i = 3; i < count; i++) {
    if (strcmp(words[i], "packed") == 0) offers_packed = 1;
    if (strcmp(words[i], "in-order") == 0) offered_too |= IN_ORDER;
    if (strcmp(words[i], "small-disk") == 0) disk_size = 64 << 10;
    if (strcmp(words[i], "no-event-idx") == 0) left_out |= 1ull << 29;
    if (strcmp(words[i], "no-indirect") == 0) left_out |= 1ull << 28;
    if (strcmp(words[i], "two-queues") != 0) continue;
    offered_too |= MQ;
    queue_count = 2;
  }
  disk = calloc(1, LARGER_DISK);
  snprintf(name.sun_path, sizeof name.sun_path, "%s", words[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (is("exits-at-once")) {
    say("cannot open the disk: permission denied");
    return 1;
  }
  if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 1) < 0) return 4;
  int socket = accept(listener, NULL, NULL);
  for (;;) {
    struct pollfd wait[1 + MAX_QUEUES] = {{.fd = socket, .events = POLLIN}};
    for (int i = 0; i < MAX_QUEUES; i++) wait[1 + i] = (struct pollfd){.fd = queues[i].kick, .events = POLLIN};
    if (poll(wait, 1 + MAX_QUEUES, -1) < 0) return 4;
    for (int i = 0; i < MAX_QUEUES; i++) {
      uint64_t value;
      if ((wait[1 + i].revents & POLLIN) == 0) continue;
      if (read(queues[i].kick, &value, sizeof value) < 0 && errno != EAGAIN) return 4;
      run();
    }
    if (wait[0].revents) {
      struct message m;
      int fds[MAX_REGIONS];
      handle(socket, &m, fds, receive(socket, &m, fds));
    }
  }
}
