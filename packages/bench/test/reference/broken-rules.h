/* Breaks the rules of the ring one by one, each in a ring of its own, and prints what the reference says. */
#include <sys/wait.h>
#include <unistd.h>

static unsigned descriptors_of_request = 3;
static struct list list;
static struct batch batch;
static struct chain chain;
static char buffer[4096];
static struct region region;

static void fill(void)
{
	list_clear(&list);
	list_readable(&list, &region, 0, 16);
	list_readable(&list, &region, 16, 512);
	list_writable(&list, &region, 528, 1);
}

/* The ring is that of a process that ends with the rule. */
static void try_rule(const char *name, void (*break_rule)(void))
{
	int status;

	fflush(stdout);
	if (fork() == 0) {
		size = 16;
		region = (struct region){ (uint64_t)(uintptr_t)buffer, sizeof buffer };
		open_ring();
		fill();
		break_rule();
		printf("%s: %s\n", name, broken ? broken : "nothing");
		fflush(stdout);
		_exit(0);
	}
	wait(&status);
	if (status != 0)
		printf("%s: the process failed\n", name);
}

static void outside_of_region(void) { list_clear(&list); list_writable(&list, &region, 4000, 97); }
static void empty_segment(void) { list_clear(&list); list_writable(&list, &region, 0, 0); }
static void readable_behind(void)
{
	list_clear(&list);
	list_writable(&list, &region, 0, 1);
	list_readable(&list, &region, 1, 1);
}
static void too_many_segments(void) { list_writable(&list, &region, 0, 1); }
static void no_segment(void) { list_clear(&list); ring_add(&list); }
static void pushed_twice(void)
{
	ring_add(&list);
	ring_publish();
	ring_pop(&chain);
	ring_push(chain.head, 0);
	ring_push(chain.head, 0);
}
static void no_rule(void)
{
	for (unsigned i = 0; i < 100; i++) {
		fill();
		if (ring_add(&list) < 0)
			fail("full");
		ring_publish();
		if (ring_pop(&chain) != 1 || chain.count != 3 || chain.bytes - chain.readable_bytes != 1)
			fail("not what was added");
		ring_push(chain.head, 1);
		ring_flush();
		if (ring_take_used(1, &batch) != 1 || batch.written[0] != 1)
			fail("not what was returned");
	}
}
static void add_and_publish(void) { ring_add(&list); ring_publish(); }

/* The rules that both layouts have, and none. */
static void try_common_rules(void)
{
	try_rule("no rule", no_rule);
	try_rule("outside of the region", outside_of_region);
	try_rule("empty segment", empty_segment);
	try_rule("readable behind writable", readable_behind);
	try_rule("too many segments", too_many_segments);
	try_rule("no segment", no_segment);
	try_rule("pushed twice", pushed_twice);
}
