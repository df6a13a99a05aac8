/*
 * The device IOTLB of protocol-back-end.c: entries that its front-end sent, and misses that it asks with. Included
 * there, behind find().
 */
enum { ENTRIES = 512, ASKED = 256, READS = 1, WRITES = 2, MISS = 1, UPDATE, INVALIDATE, ACCESS_FAILED };
struct iotlb_message { uint64_t iova, size, user; uint8_t permission, type, padding[6]; };

static struct iotlb_message entries[ENTRIES], asked[ASKED];
static int entry_next, asked_count, back_channel = -1, is_waiting, updates;

static int translates(void) { return (features & BIT(33)) != 0; }

static void forget_iotlb(void) {
  if (!is("iotlb-remembers-connection")) memset(entries, 0, sizeof entries);
  asked_count = is_waiting = updates = 0;
  shut(&back_channel);
}

/* Asks what an address is, once. */
static void ask(uint64_t iova, int permission) {
  struct __attribute__((packed)) { struct header h; struct iotlb_message m; } miss = {{1, 1, sizeof miss.m}, {.iova = iova, .type = MISS}};
  is_waiting = 1;
  if (is("iotlb-cuts-addresses")) miss.m.iova = iova & (BIT(40) - 1);
  if (is("iotlb-miss-of-type-0")) miss.m.type = 0;
  miss.m.permission = is("iotlb-asks-without-permission") ? 0 : is("iotlb-asks-to-read") ? READS : (uint8_t)permission;
  for (int i = 0; i < asked_count && !is("iotlb-asks-without-end"); i++)
    if (asked[i].iova == iova && (asked[i].permission & permission) == permission) return;
  if (back_channel < 0) wrong("iotlb-channel-missing");
  if (asked_count < ASKED) asked[asked_count++] = (struct iotlb_message){.iova = iova, .permission = (uint8_t)permission};
  int flags = is("iotlb-dies-of-a-closed-channel") ? MSG_DONTWAIT : MSG_NOSIGNAL | MSG_DONTWAIT;
  if (is("iotlb-waits-for-its-channel")) flags = MSG_NOSIGNAL;
  if (send(back_channel, &miss, sizeof miss, flags) < 0) errno = 0;
}

/* Up to `*length` bytes at an address that a descriptor has; NULL where there are none, or not yet. */
static uint8_t *reach(uint64_t address, uint64_t *length, int permission) {
  if (!translates()) return find(address, *length, 0);
  int is_lax = is("iotlb-ignores-permission") || is("iotlb-asks-to-read");
  for (int i = 0; i < ENTRIES; i++) {
    int newest = (entry_next - 1 - i + 2 * ENTRIES) % ENTRIES;
    const struct iotlb_message *e = &entries[newest];
    if (e->size == 0 || address < e->iova || address - e->iova >= e->size) continue;
    if (!is_lax && (e->permission & permission) != permission) continue;
    uint64_t rest = e->size - (address - e->iova);
    if (*length > rest && !is("iotlb-takes-one-entry-for-all")) *length = rest;
    uint8_t *bytes = find(e->user + (address - e->iova), *length, 1);
    if (bytes == NULL) wrong("iotlb-keeps-memory-that-went");
    return bytes;
  }
  ask(address, permission);
  return NULL;
}

/* An area of a ring: `length` bytes in one run. */
static uint8_t *area(uint64_t address, uint64_t length, int permission) {
  uint8_t *start = NULL;
  if (!translates() || is("iotlb-has-rings-at-user-addresses")) return find(address, length, 1);
  for (uint64_t done = 0, part; done < length; done += part) {
    part = length - done;
    uint8_t *bytes = reach(address + done, &part, permission);
    if (bytes == NULL) return NULL;
    if (done == 0) start = bytes;
    if (done == 0 && part < length && is("iotlb-gives-up-on-short-entries")) return NULL;
    if (bytes != start + done) return NULL;
  }
  return start;
}

/* Whether all of a buffer can be reached now: 1, 0 where it is asked for, -1 where it cannot. */
static int is_there(uint64_t address, uint64_t length, int permission) {
  for (uint64_t done = 0, part; done < length; done += part) {
    part = length - done;
    int was = is_waiting;
    is_waiting = 0;
    uint8_t *bytes = reach(address + done, &part, permission);
    int asks = is_waiting;
    is_waiting |= was;
    if (bytes == NULL) return asks ? 0 : -1;
  }
  return 1;
}

static int invalidate(const struct iotlb_message *m) {
  uint64_t size = is("iotlb-cuts-invalidations") ? (uint32_t)m->size : m->size, end = m->iova + size;
  int found = 0;
  if (end < m->iova) {
    wrong("iotlb-invalidation-wraps");
    end = UINT64_MAX;
  }
  if (is_waiting && asked_count > 0) wrong("iotlb-invalidated-with-buffers");
  asked_count = 0;
  for (int i = 0; i < ENTRIES && !is("iotlb-ignores-invalidations"); i++) {
    struct iotlb_message *e = &entries[i];
    if (e->size == 0) continue;
    int is_in = e->iova < end && e->iova + e->size > m->iova, is_same = e->iova == m->iova && e->size == m->size;
    if (is("iotlb-invalidates-exactly") ? !is_same : !is_in && !is("iotlb-invalidates-all")) continue;
    e->size = 0;
    found = 1;
  }
  if (!found) wrong("iotlb-invalidates-what-is-not-there");
  return 0;
}

/* IOTLB_MSG. */
static int take_iotlb(const uint8_t *payload) {
  struct iotlb_message m;
  int was_asked = 0;
  memcpy(&m, payload, sizeof m);
  if (m.type == INVALIDATE) return invalidate(&m);
  if (m.type == MISS || m.type == ACCESS_FAILED) return wrong("iotlb-takes-misses");
  if (m.type != UPDATE) return wrong("iotlb-takes-any-type");
  if (region_count == 0) return wrong("iotlb-entry-without-memory");
  if (m.size == 0) return wrong("iotlb-entry-of-nothing");
  if (m.user + m.size < m.user) return wrong("iotlb-user-address-wraps");
  if (m.iova + m.size < m.iova) return wrong("iotlb-address-wraps");
  if (find(m.user, m.size, 1) == NULL) return wrong("iotlb-user-address-nowhere");
  if (m.permission == 0 || m.permission > 3) return wrong("iotlb-takes-any-permission");
  if (m.size % 16 != 0) wrong("iotlb-entry-is-odd");
  if (++updates > 2000) wrong("iotlb-keeps-all-entries");
  for (int i = 0; i < asked_count; i++) {
    if (asked[i].iova < m.iova || asked[i].iova - m.iova >= m.size) continue;
    was_asked = 1;
    asked[i--] = asked[--asked_count];
  }
  if (!was_asked && is("iotlb-takes-no-unasked-entry")) return 0;
  for (int i = 0; i < ENTRIES && is("iotlb-keeps-the-first-entry"); i++)
    if (entries[i].size > 0 && entries[i].iova == m.iova) return 0;
  entries[entry_next] = m;
  entry_next = (entry_next + 1) % ENTRIES;
  return 0;
}

/* SET_BACKEND_REQ_FD. */
static int take_channel(int *fds, int count) {
  struct stat s;
  if (count == 0) return wrong("back-channel-without-descriptor");
  if (count > 1) return wrong("iotlb-two-channels");
  if (fstat(fds[0], &s) < 0 || !S_ISSOCK(s.st_mode)) return wrong("iotlb-channel-is-no-socket");
  if (back_channel >= 0 && is("iotlb-keeps-the-first-channel")) return 0;
  shut(&back_channel);
  back_channel = fds[0];
  fds[0] = -1;
  return 0;
}
