import { FeatureRows, FeatureSet } from '@virtio-platform/core/features';

/** The features of a memory balloon (specification 1.4 section 5.5.3). */
export const BALLOON_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.5.3');

/** The device has to be told before pages of the balloon are used. Section 5.5.3. */
export const VIRTIO_BALLOON_F_MUST_TELL_HOST: number = BALLOON_FEATURES.bit(0, 'BALLOON_MUST_TELL_HOST');
/** A queue for statistics of the guest. Section 5.5.3. */
export const VIRTIO_BALLOON_F_STATS_VQ: number = BALLOON_FEATURES.bit(1, 'BALLOON_STATS_VQ');
/** A guest without free memory takes pages back, whatever the target. Section 5.5.3. */
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM: number = BALLOON_FEATURES.bit(2, 'BALLOON_DEFLATE_ON_OOM');
/** A queue for hints of free pages, and `free_page_hint_cmd_id`. Section 5.5.3. */
export const VIRTIO_BALLOON_F_FREE_PAGE_HINT: number = BALLOON_FEATURES.bit(3, 'BALLOON_FREE_PAGE_HINT');
/** The driver writes `poison_val` to free pages. Section 5.5.3. */
export const VIRTIO_BALLOON_F_PAGE_POISON: number = BALLOON_FEATURES.bit(4, 'BALLOON_PAGE_POISON');
/** A queue for reports of free pages. Section 5.5.3. */
export const VIRTIO_BALLOON_F_PAGE_REPORTING: number = BALLOON_FEATURES.bit(5, 'BALLOON_PAGE_REPORTING');

/** All of them: both halves have every feature of the type. */
export const ALL_BALLOON_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_BALLOON_F_MUST_TELL_HOST,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_FREE_PAGE_HINT,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_PAGE_REPORTING,
);
