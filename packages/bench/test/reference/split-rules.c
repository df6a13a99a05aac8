#include "../../reference/split-ring.h"
#include "broken-rules.h"

static void take(uint32_t id, uint32_t length)
{
	add_and_publish();
	used->ring[0] = (struct used_element){ id, length };
	used->idx = 1;
	ring_take_used(1, &batch);
}

static void used_unknown(void) { take(16, 0); }
static void used_not_outstanding(void) { take(5, 0); }
static void used_too_long(void) { take(0, 2); }
static void used_unpublished(void)
{
	ring_add(&list);
	ring_publish();
	fill();
	ring_add(&list);
	used->ring[0].id = 3;
	used->idx = 1;
	ring_take_used(1, &batch);
}

static void used_too_far(void) { add_and_publish(); used->idx = 2; ring_take_used(2, &batch); }
static void avail_too_far(void) { avail[1] = 17; ring_pop(&chain); }
static void avail_unknown(void) { avail[2] = 16; avail[1] = 1; ring_pop(&chain); }
static void avail_twice(void)
{
	add_and_publish();
	avail[3] = 0;
	avail[1] = 2;
	ring_pop(&chain);
	ring_pop(&chain);
}

static void chain_loops(void) { add_and_publish(); descriptors[1].next = 0; ring_pop(&chain); }
static void next_too_far(void) { add_and_publish(); descriptors[0].next = 16; ring_pop(&chain); }
static void empty_descriptor(void)
{
	add_and_publish();
	descriptors[1].length = 0;
	ring_pop(&chain);
}

static void wrong_order(void)
{
	add_and_publish();
	descriptors[0].flags |= WRITE;
	ring_pop(&chain);
}

static void table_not_negotiated(void)
{
	add_and_publish();
	descriptors[0].flags = INDIRECT;
	ring_pop(&chain);
}

int main(void)
{
	try_common_rules();
	try_rule("used id unknown", used_unknown);
	try_rule("used id not outstanding", used_not_outstanding);
	try_rule("used id not published", used_unpublished);
	try_rule("used length", used_too_long);
	try_rule("used.idx", used_too_far);
	try_rule("avail.idx", avail_too_far);
	try_rule("available entry unknown", avail_unknown);
	try_rule("available twice", avail_twice);
	try_rule("chain loops", chain_loops);
	try_rule("next", next_too_far);
	try_rule("empty descriptor", empty_descriptor);
	try_rule("order", wrong_order);
	try_rule("table not negotiated", table_not_negotiated);
	(void)descriptors_of_request;
	return 0;
}
