// Random requests of 4 KiB to a disk, past the page cache, with so many at once. Prints how many each second.
// disk-load DEVICE read|write DEPTH REQUESTS SEED
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MOST = 64 };

static uint64_t state;

static uint64_t random_below(uint64_t most) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % most;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int count, char **words) {
  if (count != 6) return 2;
  int writes = strcmp(words[2], "write") == 0;
  int depth = atoi(words[3]), requests = atoi(words[4]);
  if (depth < 1 || depth > MOST) return 2;
  state = atoi(words[5]);
  int disk = open(words[1], O_RDWR | O_DIRECT);
  if (disk < 0) fail(words[1]);
  off_t blocks = lseek(disk, 0, SEEK_END) / BLOCK;
  char *memory = aligned_alloc(BLOCK, MOST * BLOCK);
  memset(memory, 0x5a, MOST * BLOCK);
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, MOST, &context) < 0) fail("io_setup");
  struct iocb blocksOf[MOST];
  struct iocb *submitted[MOST];
  struct io_event events[MOST];
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  int sent = 0, done = 0, idle = 0;
  for (; idle < depth && sent < requests; idle++, sent++) {
    memset(&blocksOf[idle], 0, sizeof blocksOf[idle]);
    blocksOf[idle].aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    blocksOf[idle].aio_fildes = disk;
    blocksOf[idle].aio_buf = (uintptr_t)(memory + idle * BLOCK);
    blocksOf[idle].aio_nbytes = BLOCK;
    blocksOf[idle].aio_offset = random_below(blocks) * BLOCK;
    submitted[idle] = &blocksOf[idle];
  }
  while (done < requests) {
    if (idle > 0 && syscall(SYS_io_submit, context, idle, submitted) != idle) fail("io_submit");
    int got = syscall(SYS_io_getevents, context, 1, MOST, events, NULL);
    if (got < 1) fail("io_getevents");
    idle = 0;
    for (int i = 0; i < got; i++) {
      if (events[i].res != BLOCK) return 3;
      done++;
      if (sent == requests) continue;
      struct iocb *again = (struct iocb *)(uintptr_t)events[i].obj;
      again->aio_offset = random_below(blocks) * BLOCK;
      submitted[idle++] = again;
      sent++;
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
  printf("%.0f\n", requests / seconds);
  return 0;
}
