/*
 * The dirty log of protocol-back-end.c: a bit for each page that it wrote. Included there, in front of what writes.
 */
enum { LOG_PAGE = 4096, MARKED = 1 << 16 };
static uint8_t *log_bytes, *log_mapped, marked[MARKED];
static uint64_t log_size, log_length;
static int log_kick = -1, was_logging, logs_at_start;

static int is_logging(void) {
  if (is("log-always") || is("log-remembers-the-connection")) return 1;
  if (is("log-needs-a-restart")) return logs_at_start;
  return (features & BIT(26)) != 0 || (was_logging && is("log-never-stops"));
}

static void unmap_log(void) {
  if (log_mapped != NULL) munmap(log_mapped, log_length);
  log_bytes = log_mapped = NULL;
}

static void forget_log(void) {
  shut(&log_kick);
  was_logging = logs_at_start = 0;
  memset(marked, 0, sizeof marked);
  if (!is("log-remembers-the-connection")) unmap_log();
}

static void mark_page(uint64_t page) {
  if (is("log-cuts-page-numbers")) page &= 0xffff;
  uint8_t bit = (uint8_t)(1 << page % 8);
  if (page / 8 >= log_size || log_bytes == NULL) return;
  if (page / 8 < MARKED && is("log-marks-once")) {
    if (marked[page / 8] & bit) return;
    marked[page / 8] |= bit;
  }
  if (is("log-clears-marks")) log_bytes[page / 8] = bit;
  else __atomic_fetch_or(&log_bytes[page / 8], bit, __ATOMIC_SEQ_CST);
  uint64_t one = 1;
  if (log_kick < 0) return;
  while (write(log_kick, &one, sizeof one) < 0) {
    if (errno != EAGAIN) wrong("log-trusts-its-descriptor");
    if (errno != EAGAIN || !is("log-waits-for-its-descriptor")) break;
  }
}

/* Marks what was written at guest addresses. */
static void mark(uint64_t address, uint64_t length) {
  if (length == 0 || !is_logging()) return;
  if (log_bytes == NULL) {
    wrong("log-missing");
    return;
  }
  uint64_t first = address / LOG_PAGE, last = (address + length - 1) / LOG_PAGE;
  if (is("log-first-page-only")) last = first;
  if (is("log-whole-pages-only") && address % LOG_PAGE == LOG_PAGE - 1) first++;
  for (uint64_t page = first; page <= last; page++) mark_page(page);
}

/* SET_LOG_BASE. */
static int take_log(uint64_t size, uint64_t offset, const int *fds, int count) {
  static int taken;
  struct stat s;
  if (count == 0) return wrong("log-without-descriptor");
  if (count > 1) return wrong("log-two-descriptors");
  if (size < 8 * 1024 * 1024 / LOG_PAGE / 8) return wrong("log-too-small");
  if (offset + size < offset) return wrong("log-wraps");
  if (fstat(fds[0], &s) < 0 || !S_ISREG(s.st_mode)) return wrong("log-is-no-file");
  if ((uint64_t)s.st_size < offset + size) return wrong("log-behind-its-file");
  if (offset % 8 != 0) wrong("log-offset-is-odd");
  if (log_bytes != NULL && is("log-keeps-the-first")) return 0;
  if (++taken > 20) wrong("log-counts-to-20");
  unmap_log();
  if (is("log-ignores-its-offset")) offset = 0;
  uint64_t before = log_size;
  log_size = is("log-keeps-the-first-size") && before > 0 ? before : size;
  log_length = size + offset;
  log_mapped = mmap(NULL, log_length, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
  if (log_mapped == MAP_FAILED) {
    log_mapped = NULL;
    return -1;
  }
  log_bytes = log_mapped + offset;
  return 0;
}
