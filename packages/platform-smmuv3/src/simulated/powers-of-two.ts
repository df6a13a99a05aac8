/** By exponent, up to that of the widest address: a computed power takes longer than the access that needs it. */
export const POWERS_OF_TWO: Readonly<Float64Array> = Float64Array.from({ length: 65 }, (_, exponent) => 2 ** exponent);
