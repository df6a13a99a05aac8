/** The formats of `matrix --format`. */
export const MATRIX_FORMATS = ['table', 'markdown', 'csv', 'html'] as const;

/** See {@link MATRIX_FORMATS}. */
export type MatrixFormat = (typeof MATRIX_FORMATS)[number];
