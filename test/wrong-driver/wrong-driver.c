/*
 * A vhost-user front-end and driver in one, with one mistake, which the command line names:
 * `wrong-driver SOCKET MISTAKE`. It drives queue 0 of a block device, or with a mistake that begins with `net-` that of
 * a network device. First it does one request right, then the mistake, then it asks for the status until the back-end
 * says that it needs a reset ("needs reset") or is gone ("gone"), or a second has passed ("nothing").
 * Without a mistake (`none`) it does 8 requests right, and says what the device does wrong. `packed-` in front of a mistake has it on a packed ring.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY = 1 << 20, SIZE = 16, DESCRIPTORS = 0x1000, DRIVER = 0x2000, DEVICE = 0x3000, TABLE = 0x4000 };
enum { HEADER = 0x10000, DATA = 0x20000, STATUS = 0x30000 };
enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, P_AVAIL = 1 << 7, P_USED = 1 << 15 };
enum { GET_FEATURES = 1, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR, SET_VRING_BASE };
enum { SET_VRING_KICK = 12, SET_VRING_CALL, GET_PROTOCOL_FEATURES = 15, SET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 18 };
enum { SET_CONFIG = 25, SET_STATUS = 39, GET_STATUS };
enum { NEED_REPLY = 1 << 3, NEEDS_RESET = 1 << 6, LIVE = 1 | 2 | 8, DRIVER_OK = 4 };
static const uint64_t VERSION_1 = 1ull << 32, PACKED = 1ull << 34, PROTOCOL = 1ull << 30;
static const uint64_t INDIRECT = 1ull << 28;
static const uint64_t NET_TSO4 = 1ull << 11;

struct descriptor {
  uint64_t address;
  uint32_t length;
  /* Of a packed ring: id and flags. */
  uint16_t flags, next;
};
struct message {
  uint32_t request, flags, size;
  uint8_t payload[256];
} __attribute__((packed));

static const char *mistake;
static int is_packed, connection, kick_fd, call_fd;
static uint8_t *memory;
static uint16_t available, used, slot;

static int is(const char *name) { return strcmp(mistake, name) == 0; }
static int starts(const char *name) { return strncmp(mistake, name, strlen(name)) == 0; }

static void end(const char *text) {
  puts(text);
  exit(0);
}

/* Sends a message; waits for its answer where it has one. Returns the first 8 bytes of that. */
static uint64_t say(uint32_t request, const void *payload, uint32_t size, int fd, int is_answered) {
  struct message message = {request, 1 | (is_answered == 2 ? NEED_REPLY : 0), size, {0}};
  memcpy(message.payload, payload, size);
  struct iovec vector = {&message, 12 + size};
  union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
  struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = &control;
    header.msg_controllen = sizeof control;
    control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  }
  if (sendmsg(connection, &header, MSG_NOSIGNAL) < 0) end("gone");
  if (!is_answered) return 0;
  if (recv(connection, &message, 12, MSG_WAITALL) != 12) end("gone");
  if (recv(connection, message.payload, message.size, MSG_WAITALL) != (ssize_t)message.size) end("gone");
  uint64_t value = 0;
  memcpy(&value, message.payload, message.size < 8 ? message.size : 8);
  return value;
}
static uint64_t ask(uint32_t request) { return say(request, "", 0, -1, 1); }
static void tell(uint32_t request, uint64_t value) { say(request, &value, 8, -1, 2); }
static void tell_state(uint32_t request, uint32_t index, uint32_t value) {
  uint32_t state[2] = {index, value};
  say(request, state, 8, -1, 2);
}

static void kick(void) {
  uint64_t one = 1;
  if (write(kick_fd, &one, 8) != 8) end("gone");
}
static struct descriptor *at(int index) { return (struct descriptor *)(memory + DESCRIPTORS) + index; }
static void put(int index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next) {
  *at(index) = (struct descriptor){address, length, flags, next};
}
/* A descriptor of a packed ring: the flags that make it available are the caller's. */
static void put_packed(uint64_t address, uint32_t length, uint16_t id, uint16_t flags, int is_first) {
  uint16_t wrap = (slot / SIZE) % 2 == 0 ? P_AVAIL : P_USED;
  struct descriptor *descriptor = at(slot % SIZE);
  descriptor->address = address;
  descriptor->length = length;
  descriptor->flags = id;
  if (!is_first) descriptor->next = flags | wrap;
  slot++;
}
/* Makes a list that begins at this slot available. */
static void show_packed(uint16_t first, uint16_t flags) {
  uint16_t wrap = (first / SIZE) % 2 == 0 ? P_AVAIL : P_USED;
  __atomic_store_n(&at(first % SIZE)->next, flags | wrap, __ATOMIC_RELEASE);
}
static void show(uint16_t head) {
  uint16_t *ring = (uint16_t *)(memory + DRIVER);
  ring[2 + available % SIZE] = head;
  __atomic_store_n(&ring[1], ++available, __ATOMIC_SEQ_CST);
}
static void set_index(uint16_t index) {
  __atomic_store_n((uint16_t *)(memory + DRIVER) + 1, available = index, __ATOMIC_SEQ_CST);
}

static void write_header(uint32_t type, uint64_t sector) {
  uint32_t words[4] = {type, 0, (uint32_t)sector, (uint32_t)(sector >> 32)};
  memcpy(memory + HEADER, words, sizeof words);
}
/* Three descriptors from `first` on: a read of `length` bytes. */
static void put_read(int first, uint64_t sector, uint32_t length) {
  write_header(0, sector);
  put(first, HEADER, 16, F_NEXT, first + 1);
  put(first + 1, DATA, length, F_NEXT | F_WRITE, first + 2);
  put(first + 2, STATUS, 1, F_WRITE, 0);
}
static void show_packed_read(uint16_t id) {
  uint16_t first = slot;
  write_header(0, 0);
  put_packed(HEADER, 16, id, F_NEXT, 1);
  put_packed(DATA, 512, id, F_NEXT | F_WRITE, 0);
  put_packed(STATUS, 1, id, F_WRITE, 0);
  show_packed(first, F_NEXT);
}
static void wait_used(void) {
  for (int tries = 0; tries < 3000; tries++) {
    if (is_packed) {
      uint16_t flags = __atomic_load_n(&at(used % SIZE)->next, __ATOMIC_ACQUIRE);
      int wanted = (used / SIZE) % 2 == 0;
      if (!!(flags & P_AVAIL) == wanted && !!(flags & P_USED) == wanted) {
        used += 3;
        return;
      }
    } else if (__atomic_load_n((uint16_t *)(memory + DEVICE) + 1, __ATOMIC_ACQUIRE) != used) {
      used++;
      return;
    }
    char byte;
    if (recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) end("gone");
    if (tries > 100 && ask(GET_STATUS) & NEEDS_RESET) end("needs reset");
    usleep(1000);
  }
  end("no answer");
}
static void do_right(void) {
  if (is_packed) show_packed_read(3);
  else {
    put_read(0, 0, 512);
    show(0);
  }
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  memory[STATUS] = 0xff;
  kick();
  wait_used();
  clock_gettime(CLOCK_MONOTONIC, &after);
  double ms = (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
  uint32_t length = is_packed ? at((used - 3) % SIZE)->length : *(uint32_t *)(memory + DEVICE + 8 + 8 * ((used - 1) % SIZE));
  if (ms > 290) end("late");
  if (memory[STATUS] != 0) end("an error");
  if (length < 513) end("short");
  if (length > 513) end("a lie");
  struct pollfd call = {call_fd, POLLIN, 0};
  uint64_t calls;
  if (poll(&call, 1, 500) != 1 || read(call_fd, &calls, 8) != 8) end("silent");
}

static void set_up(uint64_t wanted) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  uint64_t offered = ask(GET_FEATURES);
  uint64_t protocol = ask(GET_PROTOCOL_FEATURES) & (1 << 3 | 1 << 9 | 1 << 16);
  say(SET_PROTOCOL_FEATURES, &protocol, 8, -1, 0);
  say(SET_OWNER, "", 0, -1, 0);
  tell(SET_FEATURES, is("feature-not-offered") ? offered | 1ull << 50 : (offered & wanted) | PROTOCOL);
  (void)address;
  int fd = memfd_create("memory", 0);
  if (fd < 0 || ftruncate(fd, MEMORY) < 0) exit(1);
  memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  uint64_t table[5] = {1, 0, MEMORY, (uint64_t)memory, 0};
  say(SET_MEM_TABLE, table, sizeof table, fd, 2);
  kick_fd = eventfd(0, EFD_NONBLOCK);
  call_fd = eventfd(0, EFD_NONBLOCK);
  tell_state(SET_VRING_NUM, 0, is("queue-size") ? 12 : SIZE);
  tell_state(SET_VRING_BASE, 0, is_packed ? 0x80008000 : 0);
  uint64_t base = (uint64_t)memory;
  uint64_t ring[5] = {0, base + DESCRIPTORS + (is("ring-misaligned") ? 8 : 0), base + DEVICE, base + DRIVER, 0};
  say(SET_VRING_ADDR, ring, sizeof ring, -1, 2);
  uint64_t none = 0;
  say(SET_VRING_CALL, &none, 8, call_fd, 2);
  say(SET_VRING_KICK, &none, 8, kick_fd, 2);
  tell_state(SET_VRING_ENABLE, 0, 1);
  tell(SET_STATUS, LIVE);
  if (is("notify-early")) {
    kick();
    usleep(1200000);
  }
  tell(SET_STATUS, LIVE | DRIVER_OK);
}

/* A buffer of a receive queue, which a network device keeps until it has a frame. */
static void keep_receive_buffer(void) {
  put(0, DATA, 2048, F_WRITE, 0);
  show(0);
  kick();
  usleep(600000);
}

static void net_mistake(void) {
  keep_receive_buffer();
  if (is("net-descriptor-changed")) put(0, DATA, 1600, F_WRITE, 0);
  else if (is("net-buffer-changed")) memory[DATA + 7] ^= 0xff;
  else if (is("net-head-in-flight")) {
    show(0);
    kick();
  } else if (is("net-direction")) {
    put(1, HEADER, 2048, 0, 0);
    show(1);
    kick();
  }
}

static void packed_mistake(void) {
  uint16_t first = slot;
  if (is("packed-id-in-flight")) {
    /* Both become available at once, as the first of them is shown last. */
    slot += 3;
    show_packed_read(5);
    slot = first;
    show_packed_read(5);
  } else if (is("packed-list-unavailable")) {
    put_packed(HEADER, 16, 1, F_NEXT, 1);
    show_packed(first, F_NEXT);
  } else if (is("packed-id-range")) show_packed_read(SIZE + 4);
  else if (is("packed-event-flags")) {
    ((uint16_t *)(memory + DRIVER))[1] = 3;
    show_packed_read(1);
  }
  kick();
}

static void split_mistake(void) {
  put_read(4, 0, 512);
  if (is("indirect-feature")) put(4, TABLE, 48, F_INDIRECT, 0);
  else if (is("indirect-next")) put(4, TABLE, 48, F_INDIRECT | F_NEXT, 5);
  else if (is("indirect-nested")) {
    ((struct descriptor *)(memory + TABLE))[0] = (struct descriptor){TABLE, 16, F_INDIRECT, 0};
    put(4, TABLE, 16, F_INDIRECT, 0);
  } else if (is("indirect-length")) put(4, TABLE, 40, F_INDIRECT, 0);
  else if (is("order-direction")) put(6, HEADER, 16, 0, 0);
  else if (is("chain-loop")) put(6, STATUS, 1, F_WRITE | F_NEXT, 5);
  else if (is("next-range")) put(5, DATA, 512, F_WRITE | F_NEXT, SIZE + 3);
  else if (is("length-zero")) put(5, DATA, 0, F_WRITE | F_NEXT, 6);
  else if (is("address")) put(5, MEMORY + 0x5000, 512, F_WRITE | F_NEXT, 6);
  else if (is("request-header")) put(4, HEADER, 8, F_NEXT, 5);
  else if (is("request-status")) put(4, HEADER, 16, 0, 0);
  else if (is("request-range")) write_header(0, 1 << 20);
  else if (is("request-length")) put(5, DATA, 500, F_WRITE | F_NEXT, 6);
  else if (is("request-feature")) write_header(4, 0);
  else if (is("head-range")) {
    show(SIZE);
    return kick();
  } else if (is("index-jump")) {
    set_index(available + SIZE + 1);
    return kick();
  } else if (is("index-back")) {
    set_index(available - 1);
    return kick();
  } else if (is("head-twice")) {
    uint16_t *ring = (uint16_t *)(memory + DRIVER);
    ring[2 + available % SIZE] = ring[2 + (available + 1) % SIZE] = 4;
    set_index(available + 2);
    return kick();
  } else if (is("descriptor-shared")) {
    put(7, HEADER, 16, F_NEXT, 5);
    uint16_t *ring = (uint16_t *)(memory + DRIVER);
    ring[2 + available % SIZE] = 4;
    ring[2 + (available + 1) % SIZE] = 7;
    set_index(available + 2);
    return kick();
  } else if (is("avail-flags")) *(uint16_t *)(memory + DRIVER) = 2;
  else if (is("config-write")) {
    uint32_t config[4] = {0, 4, 0, 0};
    say(SET_CONFIG, config, sizeof config, -1, 2);
  } else if (is("notify-missing")) return show(4);
  else if (is("notify-needless")) {
    for (int i = 0; i < 20; i++) kick();
    return;
  }
  show(4);
  kick();
}

int main(int count, char **words) {
  if (count != 3) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  mistake = words[2];
  is_packed = starts("packed-");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, words[1], sizeof address.sun_path - 1);
  connection = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) return 1;
  uint64_t wanted = (starts("indirect-") && !is("indirect-feature") ? INDIRECT : 0) | VERSION_1 | (is_packed ? PACKED : 0) | (is("feature-dependency") ? NET_TSO4 : 0);
  set_up(wanted);
  if (starts("net-")) net_mistake();
  else if (is("feature-dependency")) keep_receive_buffer();
  else if (is("feature-not-offered") || is("queue-size") || is("ring-misaligned") || is("notify-early")) kick();
  else {
    do_right();
    if (is("none") || is("packed-none")) {
      for (int i = 0; i < 7; i++) do_right();
      end("done");
    }
    if (is_packed) packed_mistake();
    else split_mistake();
  }
  int most = is("notify-missing") ? 1000 : 100;
  for (int tries = 0; tries < most; tries++) {
    if (ask(GET_STATUS) & NEEDS_RESET) end("needs reset");
    usleep(10000);
  }
  end("nothing");
}
