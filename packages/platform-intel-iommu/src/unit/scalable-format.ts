/** Bits of the root table's address that name the kind of tables (TTM; VT-d specification, scalable mode). */
export const TABLE_MODE_MASK = 0xc00;
/** The kind of tables of scalable mode. */
export const SCALABLE_MODE = 0x400;

/** A root entry has two halves, each with the context table of this many functions of the bus. */
export const FUNCTIONS_OF_HALF = 128;
/** 32-bit words of a context entry of scalable mode. */
export const SCALABLE_CONTEXT_WORDS = 8;
/** 32-bit words of an entry of a PASID directory. */
export const DIRECTORY_WORDS = 2;
/** 32-bit words of an entry of a PASID table. */
export const PASID_WORDS = 16;

/** First word of a PASID entry: shift of the address width. */
export const PASID_WIDTH_SHIFT = 2;
/** First word of a PASID entry: shift of the translation type (PGTT). */
export const PASID_TYPE_SHIFT = 6;
/** Translation type: through second-level tables. */
export const PASID_SECOND_LEVEL = 2;
/** Translation type: untranslated. */
export const PASID_PASS_THROUGH = 4;
