import type { QueueLayout } from '@virtio-platform/core/queue';

/** Something that a peer, or the code around a ring, can do wrong, and that an implementation has to survive. */
export interface HostileCase {
  /**
   * Stays the same for good: `V` is a hostile driver against a device, `D` a hostile device against a driver, `M` a
   * mapping that fails or is misused, and `R-` a bug that the ring of Linux once had.
   */
  readonly number: string;
  /** Where it can happen. Empty for what is decided before a ring is reached. */
  readonly layouts: readonly QueueLayout[];
  /** What is done wrong; or, with "has to", what looks wrong and is right. */
  readonly summary: string;
}

const SPLIT: readonly QueueLayout[] = ['split'];
const PACKED: readonly QueueLayout[] = ['packed'];
const BOTH: readonly QueueLayout[] = ['split', 'packed'];

const row = (number: string, layouts: readonly QueueLayout[], summary: string): HostileCase => ({
  number,
  layouts,
  summary,
});

/**
 * Every case that the rings of this project are tested against. The numbers at the head of a test's name (`V38 V42 R-15
 * takes the id ...`, most of them in core/test/queue and conformance/test) are the cases of this list that the test
 * tries. A wrong peer ends in a typed reason to be broken, or in nothing where the specification says to ignore it:
 * never in a wrong request resolved, a byte of another buffer, an endless loop or a leak.
 */
export const HOSTILE_CASES: readonly HostileCase[] = [
  row('V01', SPLIT, 'avail.idx jumps further than the queue is long'),
  row('V02', SPLIT, 'avail.idx goes backwards'),
  row('V03', SPLIT, 'an available entry beyond the queue'),
  row('V04', SPLIT, 'next beyond the queue'),
  row('V05', SPLIT, 'a chain that loops over one, two or all descriptors'),
  row('V06', SPLIT, 'a chain of one descriptor more than the queue has'),
  row('V07', BOTH, 'a chain of exactly as many descriptors as the queue has, which has to pass'),
  row('V08', BOTH, 'descriptors of no bytes'),
  row('V09', BOTH, 'a descriptor of 2^32 - 1 bytes, which is no negative length'),
  row('V10', BOTH, 'a buffer that runs past the end of the 64-bit address space'),
  row('V11', BOTH, 'a chain of more than 2^32 bytes'),
  row('V12', BOTH, 'a buffer at 0, beyond memory, or across its end'),
  row('V13', BOTH, 'a readable descriptor behind a writable one'),
  row('V14', BOTH, 'a request whose header is writable or whose status is readable'),
  row('V15', BOTH, 'an indirect table that was not negotiated'),
  row('V16', BOTH, 'a table inside a table, or one that refers to itself'),
  row('V17', SPLIT, 'INDIRECT together with NEXT'),
  row('V18', BOTH, 'a table whose length is 0, no multiple of 16, or nearly 2^32'),
  row('V19', BOTH, 'a table that is not, or only partly, in memory; one across pages that lie apart has to pass'),
  row('V20', SPLIT, 'a table whose next leaves it or loops; one out of sequence has to pass'),
  row('V21', BOTH, 'a table longer than the device takes; one that is only longer than the queue has to pass'),
  row('V22', SPLIT, 'a second table in a chain; descriptors and then one table have to pass'),
  row('V23', BOTH, 'WRITE on the descriptor of a table, which has to be ignored'),
  row('V24', SPLIT, 'a head made available again while it is in flight'),
  row('V25', SPLIT, 'every available entry is the same head'),
  row('V26', BOTH, 'descriptors or a table rewritten between two reads of the device'),
  row('V27', BOTH, 'a buffer that is the ring itself'),
  row('V28', BOTH, 'areas that overlap, are misaligned, are not in memory, or are at 0'),
  row('V29', BOTH, 'a queue of 0 entries, of more than there may be, or of no power of two where it has to be one'),
  row('V30', BOTH, 'size or addresses changed after the queue was enabled'),
  row('V31', BOTH, 'kicks before DRIVER_OK, in storms, or for queues that do not exist'),
  row('V32', BOTH, 'an event index that jumps about'),
  row('V33', BOTH, "the device's own area scribbled over"),
  row('V34', BOTH, 'an event index that is passed as the index wraps'),
  row('V35', BOTH, 'notification data that differ from the ring, or were not negotiated'),
  row('V36', BOTH, 'IN_ORDER negotiated and the descriptors out of order'),
  row('V37', BOTH, 'more in flight than the queue has entries'),
  row('V38', PACKED, 'a list whose tail is not available yet'),
  row('V39', PACKED, 'AVAIL turned in the middle of a list'),
  row('V40', PACKED, 'AVAIL and USED both set, or neither'),
  row('V41', PACKED, 'a descriptor of another lap'),
  row('V42', PACKED, 'a buffer id beyond the queue, or one that is in flight'),
  row('V43', PACKED, 'NEXT on every slot'),
  row('V44', PACKED, 'INDIRECT together with NEXT, or a table in a list'),
  row('V45', PACKED, 'flags beside WRITE inside a table, which have to be ignored'),
  row('V46', PACKED, 'a table in the format of a split ring, or chained as one'),
  row('V47', PACKED, 'an event structure with reserved flags, an offset beyond the queue, or of another lap'),
  row('V48', PACKED, 'queues of 1 and of 3, and lists of exactly the queue, which have to go round'),
  row('V49', BOTH, "a table inside another queue's ring"),
  row('V50', BOTH, 'a queue reset in flight, twice, or without the feature, while other queues go on'),
  row('V51', BOTH, 'the device reset while it handles a buffer'),
  row('V52', BOTH, 'the other layout in the same memory, and a device suspended with buffers in flight'),

  row('D01', BOTH, 'a used id beyond the queue'),
  row('D02', SPLIT, 'a used id whose low 16 bits are a live head'),
  row('D03', BOTH, 'a used id that was never given, or not published yet'),
  row('D04', BOTH, 'a used id that was completed before'),
  row('D05', BOTH, 'the descriptor in the middle of a chain as used id'),
  row('D06', BOTH, 'an id that another request has by now'),
  row('D07', SPLIT, 'used.idx jumps further than buffers are outstanding'),
  row('D08', BOTH, 'used.idx goes backwards, or buffers keep coming while they are taken'),
  row('D09', BOTH, 'a used length beyond the writable part'),
  row('D10', BOTH, 'a used length where nothing is writable'),
  row('D11', BOTH, 'a used length that counts the readable part too'),
  row('D12', BOTH, 'a used length of 2^32 - 1'),
  row('D13', BOTH, 'fewer bytes written than there is room for: the others stay hidden'),
  row('D14', BOTH, 'a legacy device that exaggerates, which has to be cut or ignored as its policy says'),
  row('D15', BOTH, "a descriptor's address rewritten in flight"),
  row('D16', BOTH, "a descriptor's length rewritten in flight"),
  row('D17', BOTH, 'NEXT set on a tail, or cleared on a head, in flight'),
  row('D18', SPLIT, 'next rewritten in flight'),
  row('D19', BOTH, 'WRITE turned in flight'),
  row('D20', BOTH, 'an indirect table, or the descriptor of it, rewritten in flight'),
  row('D21', BOTH, "the driver's own area overwritten"),
  row('D22', BOTH, 'garbage beside the one bit of the notification flags'),
  row('D23', BOTH, 'a poisoned event index: a kick is lost, and nothing else'),
  row('D24', BOTH, 'an event index that a batch passes as the index wraps'),
  row('D25', BOTH, 'a full queue of buffers published at once, whose number must not look like none'),
  row('D26', BOTH, 'used fields that differ from one read to the next'),
  row('D27', BOTH, 'a used element written behind its index: each end has to keep the order'),
  row('D28', PACKED, 'a slot marked used with nothing outstanding'),
  row('D29', PACKED, 'used flags of another lap'),
  row('D30', PACKED, 'a used buffer id beyond the queue'),
  row('D31', PACKED, 'the id of another buffer, with a list of another length'),
  row('D32', PACKED, 'the same id used twice'),
  row('D33', PACKED, 'a length without WRITE'),
  row('D34', PACKED, 'WRITE on a buffer that is only readable'),
  row('D35', PACKED, 'NEXT or INDIRECT in a used descriptor, which has to be ignored'),
  row('D36', PACKED, 'an event structure with reserved flags, out of range, of another lap, torn, or not negotiated'),
  row('D37', PACKED, 'other slots of a list in flight overwritten'),
  row('D38', PACKED, 'a place whose slot and lap are seen apart'),
  row('D39', BOTH, 'IN_ORDER: a batch that ends with what is not outstanding'),
  row('D40', BOTH, 'IN_ORDER: a batch of everything has to pass, one of more than that must not'),
  row('D41', BOTH, 'IN_ORDER: buffers out of order'),
  row('D42', BOTH, 'IN_ORDER: the length of a batch is that of its last buffer'),
  row('D43', BOTH, 'interrupts before DRIVER_OK, after a reset, in storms, over an empty ring'),
  row('D44', BOTH, 'a largest queue size of 0, of 65535, of no power of two, or that changes'),
  row('D45', BOTH, 'a reset that is never confirmed'),
  row('D46', BOTH, 'a bounce buffer changed while and after it is copied'),

  row('M1', BOTH, 'mapping fails in the middle of a request'),
  row('M2', BOTH, 'the pool is used up'),
  row('M3', BOTH, 'a segment longer than the longest mapping'),
  row('M4', BOTH, 'neighbours in memory that the device finds apart'),
  row('M5', BOTH, 'device address 0, which is one like any other'),
  row('M6', SPLIT, 'a legacy queue beyond 32-bit page frame numbers'),
  row('M7', BOTH, 'memory given back while the device is still alive'),
  row('M8', BOTH, 'one mapping completed twice'),
  row('M9', BOTH, "bytes of a page that are not the buffer's"),

  row('R-01', PACKED, 'a list of exactly the queue did not turn the wrap counter'),
  row('R-02', BOTH, 'after asking for a delayed notification, it looked at a place that never changes'),
  row('R-03', PACKED, 'slot and wrap counter in two variables, read apart'),
  row('R-04', BOTH, 'a table that could not be allocated was used'),
  row('R-05', BOTH, 'buffers unmapped in the wrong direction'),
  row('R-06', BOTH, 'a table bounded by the queue instead of by its own length'),
  row('R-07', BOTH, 'translation went on from the wrong place in the next page'),
  row('R-08', BOTH, 'a full pool was an I/O error instead of a reason to wait'),
  row('R-09', BOTH, 'switching notifications off wrote an event index that asked for one'),
  row('R-10', BOTH, 'one request for a notification, and one interrupt for every buffer'),
  row('R-11', [], 'a length cut to 32 bits'),
  row('R-12', BOTH, 'a queue resized without unmapping what was in it, or without looking whether that worked'),
  row('R-13', BOTH, 'what was detached after a reset left the ring in its old state'),
  row('R-14', BOTH, 'premapped buffers unmapped, and others in a table not'),
  row(
    'R-15',
    PACKED,
    'what others got wrong: flags tested as bits, WRITE lost, the id from the wrong slot, a number taken for a truth value',
  ),
];
