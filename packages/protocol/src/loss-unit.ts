/**
 * Losses are summed as integers, in units of 2^-32: integer addition is associative, so their sum is the same bits in any
 * order. A loss times this is its integer; a summed integer over this is the loss again.
 */
export const lossUnit = 4_294_967_296;
