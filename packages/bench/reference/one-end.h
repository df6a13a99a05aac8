/* What split-end.c and packed-end.c share: which request is sent, and how the time is taken. */
static struct segment request[SEGMENTS];
static unsigned descriptors_of_request;
static uint32_t written_bytes;
static int plays_driver;
static unsigned long requests, samples;

/* One segment that the device writes, or three as a block write has them. */
static void prepare_request(int argc, char **argv)
{
	static char buffer[4096];
	uint64_t address = (uint64_t)(uintptr_t)buffer;

	if (argc != 5) {
		fprintf(stderr, "usage: %s <driver or device> <1 or 3> <requests> <samples>\n", argv[0]);
		exit(2);
	}
	plays_driver = strcmp(argv[1], "device") == 0;
	descriptors_of_request = argv[2][0] == '1' ? 1 : SEGMENTS;
	requests = strtoul(argv[3], NULL, 10);
	samples = strtoul(argv[4], NULL, 10);
	if (descriptors_of_request == 1) {
		request[0] = (struct segment){ address, 512, 1 };
		written_bytes = 512;
	} else {
		request[0] = (struct segment){ address, 16, 0 };
		request[1] = (struct segment){ address + 16, 512, 0 };
		request[2] = (struct segment){ address + 528, 1, 1 };
		written_bytes = 1;
	}
}

static double time_of(void (*round)(void))
{
	double start = now();

	for (unsigned long done = 0; done < requests; done += DEPTH)
		round();
	return (now() - start) / (double)((requests + DEPTH - 1) / DEPTH * DEPTH);
}

/* The loop alone comes after all of the end: it leaves a ring that no end could go on with. */
static int measure(void (*round)(void), void (*peer)(void))
{
	double *whole = allocate(samples * sizeof *whole);

	time_of(round);
	for (unsigned long i = 0; i < samples; i++)
		whole[i] = time_of(round);
	time_of(peer);
	for (unsigned long i = 0; i < samples; i++)
		printf("%.3f %.3f\n", whole[i], time_of(peer));
	return 0;
}
